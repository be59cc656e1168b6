//! I6: at most one e-mail success for each fact; a repetition only after a crash between the mail server's 250 and
//! the record of it, and with the same `Message-ID`.

use std::collections::{BTreeMap, BTreeSet};

use crate::world::{Portal, World};

/// Of these there is one in the life of a request.
const ONCE: [&str; 4] = [
    "access_submitted",
    "access_provisioned",
    "access_rejected",
    "access_revoked",
];

pub(super) async fn one_for_each_fact(world: &World, portal: &Portal) {
    let sql = "SELECT id, template, subject_id, recipient_id, status, CAST(attempts AS TEXT) FROM deliveries";
    let mut facts = BTreeSet::new();
    let mut attempts = BTreeMap::new();
    for row in world.stores.rows("notification", sql).await {
        let fact = (row[1].clone(), row[2].clone(), row[3].clone());
        assert!(
            facts.insert(fact.clone()) || !ONCE.contains(&row[1].as_str()),
            "I6: two mails for one fact: {fact:?}"
        );
        attempts.insert(
            row[0].clone(),
            (row[4].clone(), row[5].parse::<usize>().unwrap()),
        );
    }
    let mut arrived: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mail in world.mail.messages() {
        // `<delivery@host>`; a resend that an admin asked for is `<delivery.n@host>`.
        let id = mail
            .message_id
            .trim_start_matches('<')
            .split('@')
            .next()
            .unwrap()
            .to_owned();
        arrived
            .entry(id)
            .or_default()
            .push(mail.envelope_to.join(","));
    }
    for (id, recipients) in &arrived {
        let delivery = id.split('.').next().unwrap();
        let (_, attempts) = attempts
            .get(delivery)
            .unwrap_or_else(|| panic!("I6: a mail arrived that is no delivery: {id}"));
        // Each attempt after the first was begun because an outcome was not known.
        assert!(
            recipients.len() <= *attempts,
            "I6: {id} arrived {} times in {attempts} attempts",
            recipients.len()
        );
        assert!(
            recipients.iter().all(|to| to == &recipients[0]),
            "I6: {id} went to {recipients:?}"
        );
    }
    for (id, (status, _)) in &attempts {
        let there = arrived
            .keys()
            .any(|arrived| arrived.split('.').next() == Some(id));
        assert_eq!(status == "sent", there, "I6: delivery {id} is {status}");
    }
    let _ = portal;
}
