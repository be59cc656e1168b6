//! What `kubectl kustomize` makes of an overlay, as far as these files use it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    files::{Repository, items, text},
    problems::Problems,
};

const FILE: &str = "kustomization.yaml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kustomization {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(rename = "namespace")]
    _namespace: String,
    resources: Vec<String>,
    #[serde(default)]
    images: Vec<ImageTag>,
    #[serde(default)]
    patches: Vec<Patch>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ImageTag {
    name: String,
    new_name: Option<String>,
    new_tag: Option<String>,
    digest: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    target: Target,
    patch: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    kind: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    op: String,
    path: String,
    value: Value,
}

/// The objects of an overlay.
pub struct Objects(pub Vec<Value>);

impl Objects {
    /// Builds a folder.
    pub fn of(repository: &Repository, folder: &str, problems: &mut Problems) -> Self {
        let objects = build(repository, folder, problems);
        let mut names = BTreeSet::new();
        for object in &objects {
            let name = (text(object, "/kind"), text(object, "/metadata/name"));
            problems.unless(!name.0.is_empty() && !name.1.is_empty(), || {
                format!("{folder}: an object without kind or name")
            });
            problems.unless(names.insert(name), || {
                format!("{folder}: {name:?} is there twice")
            });
        }
        Self(objects)
    }

    pub fn named(&self, kind: &str, name: &str) -> Option<&Value> {
        self.of_kind(kind)
            .find(|object| text(object, "/metadata/name") == name)
    }

    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        let objects = self.0.iter();
        objects.filter(move |object| text(object, "/kind") == kind)
    }
}

fn build(repository: &Repository, folder: &str, problems: &mut Problems) -> Vec<Value> {
    let at = format!("{folder}/{FILE}");
    let file = repository.yaml(&at, problems).into_iter().next();
    let Some(file) = file.and_then(|file| problems.good(&at, serde_json::from_value(file))) else {
        return Vec::new();
    };
    let kustomization: Kustomization = file;
    let mut objects = Vec::new();
    for resource in &kustomization.resources {
        let path = format!("{folder}/{resource}");
        if repository.path(&path).is_dir() {
            objects.extend(build(repository, &path, problems));
        } else if repository.path(&path).is_file() {
            objects.extend(repository.yaml(&path, problems));
        } else {
            problems.say(format!("{at}: no {resource}"));
        }
    }
    for file in repository.files(folder) {
        let name = file.rsplit('/').next().unwrap_or_default();
        let used = name == FILE || kustomization.resources.iter().any(|one| one == name);
        problems.unless(used, || format!("{at}: {name} is not among the resources"));
    }
    for patch in &kustomization.patches {
        apply(&mut objects, patch, &at, problems);
    }
    retag(&mut objects, &kustomization.images);
    objects
}

fn apply(objects: &mut [Value], patch: &Patch, at: &str, problems: &mut Problems) {
    let Target { kind, name } = &patch.target;
    let found = objects.iter_mut().find(|object| {
        text(object, "/kind") == kind.as_str() && text(object, "/metadata/name") == name.as_str()
    });
    let Some(object) = found else {
        problems.say(format!("{at}: patches {kind} {name}, which is not there"));
        return;
    };
    let operations: Result<Vec<Operation>, _> = serde_saphyr::from_str(&patch.patch);
    for operation in problems.good(at, operations).unwrap_or_default() {
        let place = object.pointer_mut(&operation.path);
        match place.filter(|_| operation.op == "replace") {
            Some(place) => *place = operation.value,
            None => problems.say(format!(
                "{at}: cannot {} {} of {kind} {name}",
                operation.op, operation.path
            )),
        }
    }
}

fn retag(objects: &mut [Value], tags: &[ImageTag]) {
    let tags: BTreeMap<&str, &ImageTag> = tags.iter().map(|tag| (tag.name.as_str(), tag)).collect();
    for object in objects {
        let containers = object.pointer_mut("/spec/template/spec/containers");
        let containers = containers.and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let Some(tag) = tags.get(text(container, "/image")) else {
                continue;
            };
            let name = tag.new_name.as_ref().unwrap_or(&tag.name);
            container["image"] = match (&tag.digest, &tag.new_tag) {
                (Some(digest), _) => format!("{name}@{digest}").into(),
                (None, Some(tag)) => format!("{name}:{tag}").into(),
                (None, None) => name.as_str().into(),
            };
        }
    }
}

/// The containers of a workload.
pub fn containers(workload: &Value) -> &[Value] {
    items(workload, "/spec/template/spec/containers")
}
