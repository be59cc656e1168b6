//! The commands of a page of the documentation, run as they stand there.

use std::{path::Path, process::Command};

use portico_trials::postgres::programs;

/// What stands in the fenced blocks of shell under a heading, as one script.
pub fn commands(page: &str, heading: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join(page)).unwrap();
    let mut script = String::new();
    let (mut here, mut shell) = (false, false);
    for line in text.lines() {
        match line {
            "```sh" => shell = true,
            "```" => shell = false,
            // A comment in a script is no heading.
            line if line.starts_with('#') && !shell => {
                here = line.trim_start_matches('#').trim() == heading;
            }
            line if here && shell => {
                script.push_str(line);
                script.push('\n');
            }
            _ => {}
        }
    }
    assert!(!script.is_empty(), "{page} has no commands under {heading}");
    script
}

/// Runs them; what they say.
pub fn run(page: &str, heading: &str, environment: &[(&str, String)]) -> String {
    script(&commands(page, heading), environment)
}

/// Runs a script of the shell, which goes well; what it says.
pub fn script(text: &str, environment: &[(&str, String)]) -> String {
    let (code, said) = ended(text, environment);
    assert_eq!(code, Some(0), "{text}: {said}");
    said
}

/// The exit code of a script of the shell, and what it says. It runs at the root of the repository, with `portico` and the
/// programs of PostgreSQL, where that is installed, at hand.
pub fn ended(text: &str, environment: &[(&str, String)]) -> (Option<i32>, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let portico = Path::new(env!("CARGO_BIN_EXE_portico")).parent().unwrap();
    let mut path = vec![portico.to_owned()];
    path.extend(programs());
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let mut shell = Command::new("sh");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PORTICO_")) {
        shell.env_remove(name);
    }
    let output = shell
        .args(["-euc", text])
        .current_dir(root)
        .env("PATH", std::env::join_paths(path).unwrap())
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}
