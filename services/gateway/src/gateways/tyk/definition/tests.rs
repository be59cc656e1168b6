use super::*;

const JWKS: &str = "https://id.example/certs";

fn entries(pairs: &[(&str, &str)]) -> Mapping {
    pairs
        .iter()
        .map(|(scope, policy)| ((*scope).into(), (*policy).into()))
        .collect()
}

fn wanted(pairs: &[(&str, &str)], owned: &[(&str, &str)]) -> WantedApi {
    WantedApi {
        api_id: "pay".into(),
        entries: entries(pairs),
        jwks_uri: JWKS.into(),
        scope_claim: "scope".into(),
        owned: Owned {
            entries: entries(owned),
            ..Owned::default()
        },
        restore: false,
    }
}

fn api() -> Value {
    json!({"api_id": "pay", "name": "Payments", "proxy": {"listen_path": "/pay/"}, "x": [1, {"y": null}]})
}

fn connected(pairs: &[(&str, &str)]) -> Value {
    merge(&api(), &wanted(pairs, &[]), "noop")
        .unwrap()
        .definition
}

fn code(definition: &Value, wanted: &WantedApi) -> String {
    merge(definition, wanted, "noop").unwrap_err().code
}

#[test]
fn fills_in_what_is_missing_and_leaves_the_rest() {
    let merged = merge(&api(), &wanted(&[("a", "p"), ("b", "q")], &[]), "noop").unwrap();
    let mut expected = api();
    let more = json!({
        "enable_jwt": true, "jwt_signing_method": "rsa",
        "jwt_source": "aHR0cHM6Ly9pZC5leGFtcGxlL2NlcnRz",
        "jwt_identity_base_field": "sub", "jwt_policy_field_name": "pol",
        "jwt_default_policies": ["noop"],
        "scopes": {"jwt": {"scope_claim_name": "scope", "scope_to_policy": {"a": "p", "b": "q"}}},
    });
    expected
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    assert_eq!(merged.definition, expected);
    assert_eq!(
        merged.changes.owned.entries,
        entries(&[("a", "p"), ("b", "q")])
    );
    assert!(merged.changes.owned.jwks_uris.contains(JWKS));
    assert!(merged.changes.changes.contains(&Change::Add {
        scope: "a".into(),
        policy: "p".into()
    }));
}

#[test]
fn merging_again_changes_nothing() {
    let first = merge(&api(), &wanted(&[("a", "p")], &[]), "noop").unwrap();
    let again = WantedApi {
        owned: first.changes.owned.clone(),
        ..wanted(&[("a", "p")], &[])
    };
    let second = merge(&first.definition, &again, "noop").unwrap();
    assert_eq!(second.definition, first.definition);
    assert_eq!(second.changes.changes, []);
    assert_eq!(second.changes.owned, first.changes.owned);
}

#[test]
fn a_source_of_keys_that_portico_made_is_restored_where_that_is_asked_for() {
    let first = merge(&api(), &wanted(&[("a", "p")], &[]), "noop").unwrap();
    let mut edited = first.definition.clone();
    edited["jwt_source"] = BASE64_STANDARD.encode("https://other.example/certs").into();
    let mut again = WantedApi {
        owned: first.changes.owned.clone(),
        ..wanted(&[("a", "p")], &[])
    };
    let refused = merge(&edited, &again, "noop").unwrap_err();
    assert_eq!(refused.code, "key_source_taken");
    again.restore = true;
    let repaired = merge(&edited, &again, "noop").unwrap();
    assert_eq!(repaired.definition, first.definition);
    // One that it never filled in is somebody else's for ever.
    again.owned.jwks_uris.clear();
    let refused = merge(&edited, &again, "noop").unwrap_err();
    assert_eq!(refused.code, "key_source_taken");
}

#[test]
fn what_an_admin_chose_stays() {
    let mut definition = connected(&[("a", "p")]);
    definition["jwt_identity_base_field"] = "client_id".into();
    definition["jwt_policy_field_name"] = "policy".into();
    definition["jwt_default_policies"] = json!(["own"]);
    let merged = merge(&definition, &wanted(&[("a", "p")], &[]), "noop").unwrap();
    assert_eq!(merged.definition, definition);
}

#[test]
fn foreign_entries_survive_adding_and_removing() {
    let definition = connected(&[("theirs", "t"), ("a", "p")]);
    let merged = merge(&definition, &wanted(&[("b", "q")], &[("a", "p")]), "noop").unwrap();
    assert_eq!(
        mapping(&merged.definition),
        entries(&[("b", "q"), ("theirs", "t")])
    );
    assert_eq!(merged.changes.owned.entries, entries(&[("b", "q")]));
    let merged = merge(&merged.definition, &wanted(&[], &[("b", "q")]), "noop").unwrap();
    assert_eq!(mapping(&merged.definition), entries(&[("theirs", "t")]));
    assert_eq!(merged.changes.owned.entries, entries(&[]));
    assert_eq!(
        merged.changes.changes,
        [Change::Remove { scope: "b".into() }]
    );
}

#[test]
fn an_entry_that_was_there_is_used_but_never_owned() {
    let definition = connected(&[("a", "p")]);
    let merged = merge(&definition, &wanted(&[("a", "p")], &[]), "noop").unwrap();
    assert_eq!(merged.changes.foreign, entries(&[("a", "p")]));
    assert_eq!(merged.changes.owned.entries, entries(&[]));
}

#[test]
fn an_owned_entry_is_put_right_but_not_removed_once_changed() {
    let definition = connected(&[("a", "other")]);
    let merged = merge(&definition, &wanted(&[("a", "p")], &[("a", "p")]), "noop").unwrap();
    assert_eq!(mapping(&merged.definition), entries(&[("a", "p")]));
    let merged = merge(&definition, &wanted(&[], &[("a", "p")]), "noop").unwrap();
    assert_eq!(merged.definition, definition);
    assert_eq!(merged.changes.owned.entries, entries(&[]));
}

#[test]
fn older_members_move_before_they_stop_being_read() {
    let mut definition = api();
    definition["jwt_scope_claim_name"] = "scope".into();
    definition["jwt_scope_to_policy_mapping"] = json!({"old": "o"});
    definition["scopes"] = json!({"jwt": {}, "oidc": {"scope_to_policy": null}});
    let merged = merge(&definition, &wanted(&[("a", "p")], &[]), "noop").unwrap();
    assert_eq!(
        merged.definition["scopes"],
        json!({
            "jwt": {"scope_claim_name": "scope", "scope_to_policy": {"a": "p", "old": "o"}},
            "oidc": {"scope_to_policy": null},
        })
    );
    assert_eq!(
        merged.definition["jwt_scope_to_policy_mapping"],
        json!({"old": "o"})
    );
}

#[test]
fn nothing_to_remove_touches_nothing() {
    let mut definition = api();
    definition["jwt_scope_to_policy_mapping"] = json!({"old": "o"});
    definition["use_keyless"] = true.into();
    let merged = merge(&definition, &wanted(&[], &[("a", "p")]), "noop").unwrap();
    assert_eq!(merged.definition, definition);
}

#[test]
fn what_belongs_to_somebody_else_is_refused_by_name() {
    let mut keyless = api();
    keyless["use_keyless"] = true.into();
    assert_eq!(
        code(&keyless, &wanted(&[("a", "p")], &[])),
        "api_is_keyless"
    );

    let other = connected(&[("a", "other")]);
    assert_eq!(
        code(&other, &wanted(&[("a", "p")], &[])),
        "scope_mapped_otherwise"
    );

    let mut source = api();
    source["jwt_source"] = "https://other.example/certs".into();
    let mut asked = wanted(&[("a", "p")], &[]);
    assert_eq!(code(&source, &asked), "key_source_taken");
    asked
        .owned
        .jwks_uris
        .insert("https://other.example/certs".into());
    let merged = merge(&source, &asked, "noop").unwrap();
    assert_eq!(key_source(&merged.definition), JWKS);

    let mut claim = connected(&[("theirs", "t")]);
    claim["scopes"]["jwt"]["scope_claim_name"] = "scp".into();
    assert_eq!(
        code(&claim, &wanted(&[("a", "p")], &[])),
        "scope_claim_taken"
    );
    assert!(merge(&claim, &wanted(&[("a", "p")], &[("theirs", "t")]), "noop").is_ok());
}

#[test]
fn odd_shapes_do_not_break_it() {
    for scopes in [
        json!(null),
        json!("text"),
        json!([]),
        json!({"jwt": 7}),
        json!({"jwt": {"scope_to_policy": 1}}),
    ] {
        let mut definition = api();
        definition["scopes"] = scopes;
        let merged = merge(&definition, &wanted(&[("a", "p")], &[]), "").unwrap();
        assert_eq!(mapping(&merged.definition), entries(&[("a", "p")]));
        assert_eq!(merged.definition["jwt_default_policies"], Value::Null);
    }
}
