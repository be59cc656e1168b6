//! Images: each with a tag that stays, the program's own not as root.

use std::collections::{BTreeMap, BTreeSet};

use crate::{files::Repository, problems::Problems};

const DOCKERFILE: &str = "deploy/Dockerfile";

/// The image of the Dockerfile.
#[derive(Default)]
pub struct Image {
    pub variables: BTreeMap<String, String>,
    pub entrypoint: String,
    /// Ports that it says it listens at.
    pub exposed: Vec<u16>,
}

/// Reads the last stage; checks all of them.
pub fn of_dockerfile(repository: &Repository, problems: &mut Problems) -> Image {
    let text = repository.text(DOCKERFILE).replace("\\\n", " ");
    let stages = stages(repository);
    let mut image = Image::default();
    let mut arguments = BTreeMap::new();
    let mut user = String::new();
    let mut of_an_image = false;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (instruction, rest) = line.trim().split_once(' ').unwrap_or((line, ""));
        match instruction {
            "ARG" => {
                let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
                arguments.insert(format!("${{{name}}}"), value.to_owned());
            }
            "FROM" => {
                let name = rest.split(' ').next().unwrap_or_default();
                let name = arguments.get(name).map_or(name, String::as_str);
                if name != "scratch" && !stages.contains(name) {
                    check_tag(DOCKERFILE, name, problems);
                }
                // What begins from nothing is an image by itself.
                if of_an_image {
                    check_user(&user, problems);
                }
                of_an_image = name == "scratch";
                image = Image::default();
                user.clear();
            }
            "ENV" => image.variables.extend(assignments(rest)),
            "USER" => rest.clone_into(&mut user),
            "EXPOSE" => {
                let ports = rest.split(' ').filter_map(|port| port.parse::<u16>().ok());
                image.exposed.extend(ports);
            }
            "ENTRYPOINT" => {
                let words: Vec<String> = serde_json::from_str(rest).unwrap_or_default();
                image.entrypoint = words.join(" ");
            }
            _ => {}
        }
    }
    check_user(&user, problems);
    image
}

fn check_user(user: &str, problems: &mut Problems) {
    let id = user.split(':').next().and_then(|id| id.parse::<u32>().ok());
    problems.unless(id.is_some_and(|id| id > 0), || {
        format!("{DOCKERFILE}: the user must be a number above 0, not {user:?}")
    });
}

/// The names of its stages.
pub fn stages(repository: &Repository) -> BTreeSet<String> {
    let text = repository.text(DOCKERFILE);
    let lines = text.lines().filter(|line| line.starts_with("FROM "));
    lines
        .filter_map(|line| line.split_once(" AS "))
        .map(|(_, name)| name.trim().to_owned())
        .collect()
}

fn assignments(text: &str) -> Vec<(String, String)> {
    let words = text.split_whitespace();
    words
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

/// The image has a tag or a digest, and it is not one that moves with every release.
pub fn check_tag(at: &str, image: &str, problems: &mut Problems) {
    if image.contains("@sha256:") {
        return;
    }
    let name = image.rsplit('/').next().unwrap_or_default();
    let tag = name.split_once(':').map_or("", |(_, tag)| tag);
    problems.unless(!matches!(tag, "" | "latest" | "stable" | "edge"), || {
        format!("{at}: the image {image} has no fixed tag")
    });
}
