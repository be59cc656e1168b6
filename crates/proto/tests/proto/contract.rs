//! The contract beside its baseline, `proto/baseline.txt`: a line for each method, field and enum value.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use portico_proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

/// Whether clients out there rely on the contract: from version 0.1.0 on. Then lines are only added.
const FROZEN: bool = false;
const RENEW: &str = "PORTICO_RENEW_BASELINE";

#[test]
fn the_contract_is_that_of_the_baseline() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../proto/baseline.txt");
    let now = lines();
    let text = fs::read_to_string(&path).unwrap_or_default();
    let baseline: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let gone: Vec<&String> = baseline.difference(&now).collect();
    let new: Vec<&String> = now.difference(&baseline).collect();
    let renewed = env::var_os(RENEW).is_some() && (gone.is_empty() || !FROZEN);
    if renewed {
        let all: Vec<String> = now.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&path, all.concat()).unwrap();
        return;
    }
    let named = |sign: &str, lines: &[&String]| -> String {
        lines
            .iter()
            .map(|line| format!("{sign} {line}\n"))
            .collect()
    };
    assert!(
        gone.is_empty() && new.is_empty(),
        "the contract is not that of proto/baseline.txt:\n{}{}{}",
        named("-", &gone),
        named("+", &new),
        if FROZEN && !gone.is_empty() {
            "What is gone or otherwise breaks clients: a released contract is changed by addition only."
        } else {
            "If it is meant, renew the baseline and name each difference and its reason in the commit:\n\
             PORTICO_RENEW_BASELINE=1 cargo test -p portico-proto --test proto"
        }
    );
}

fn lines() -> BTreeSet<String> {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file;
    let mut lines = BTreeSet::new();
    for file in files
        .iter()
        .filter(|file| file.package().starts_with("portico."))
    {
        let package = file.package();
        for service in &file.service {
            for method in &service.method {
                let stream = |is: bool| if is { "stream " } else { "" };
                lines.insert(format!(
                    "{package}.{} rpc {}({}{}) returns ({}{})",
                    service.name(),
                    method.name(),
                    stream(method.client_streaming()),
                    method.input_type(),
                    stream(method.server_streaming()),
                    method.output_type(),
                ));
            }
        }
        file.message_type
            .iter()
            .for_each(|one| message(package, one, &mut lines));
        file.enum_type
            .iter()
            .for_each(|one| values(package, one, &mut lines));
    }
    lines
}

fn message(parent: &str, message_type: &DescriptorProto, lines: &mut BTreeSet<String>) {
    let name = format!("{parent}.{}", message_type.name());
    for field in &message_type.field {
        lines.insert(format!(
            "{name} {} = {}",
            of(message_type, field),
            field.number()
        ));
    }
    message_type
        .nested_type
        .iter()
        .for_each(|one| message(&name, one, lines));
    message_type
        .enum_type
        .iter()
        .for_each(|one| values(&name, one, lines));
}

/// A field's label, type and name; the type of a message or enum with its package.
fn of(message_type: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let label = match (field.label(), field.oneof_index) {
        (Label::Repeated, _) => "repeated ".to_owned(),
        _ if field.proto3_optional() => "optional ".to_owned(),
        (_, Some(index)) => {
            let oneof = usize::try_from(index)
                .ok()
                .and_then(|at| message_type.oneof_decl.get(at));
            format!("oneof {} ", oneof.map_or("", |oneof| oneof.name()))
        }
        _ => String::new(),
    };
    let of = match field.r#type() {
        Type::Message | Type::Enum => field.type_name().trim_start_matches('.').to_owned(),
        scalar => scalar
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase(),
    };
    format!("{label}{of} {}", field.name())
}

fn values(parent: &str, one: &EnumDescriptorProto, lines: &mut BTreeSet<String>) {
    for value in &one.value {
        lines.insert(format!(
            "{parent}.{} {} = {}",
            one.name(),
            value.name(),
            value.number()
        ));
    }
}

#[test]
fn every_method_of_the_converted_contracts_has_a_comment() {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file;
    let mut silent = Vec::new();
    for file in files {
        let converted = [
            "access",
            "catalog",
            "accounts",
            "notification",
            "operations",
            "registration",
            "gateway",
        ];
        let of = file.package().split('.').nth(1).unwrap_or_default();
        if !converted.contains(&of) || !file.package().starts_with("portico.") {
            continue;
        }
        let info = file.source_code_info.clone().unwrap();
        let said = |path: &[i32]| {
            let mut all = info.location.iter();
            let place = all.find(|one| one.path == path);
            place.is_some_and(|one| {
                one.leading_comments.is_some() || one.trailing_comments.is_some()
            })
        };
        for (s, service) in file.service.iter().enumerate() {
            for (m, method) in service.method.iter().enumerate() {
                if !said(&[6, s as i32, 2, m as i32]) {
                    silent.push(format!("{}.{}", service.name(), method.name()));
                }
            }
        }
    }
    assert!(silent.is_empty(), "methods without a comment: {silent:?}");
}
