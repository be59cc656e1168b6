//! What is in `deploy/` fits the program: its command line, its configuration, its listeners, and who of the services
//! calls whom. A mistake in a file would otherwise be found by whoever deploys it.
//!
//! | room | what is held against what |
//! |---|---|
//! | [`program`] | the program's own parser, configuration, routes of probes |
//! | [`images`] | the Dockerfile; tags |
//! | [`compose`], [`compose_checks`] | `docker-compose.yml` |
//! | [`kustomize`], [`workloads`], [`network`] | the objects of each overlay in `kubernetes/` |
//! | [`secrets`], [`accounts`] | what `compose/secrets.sh` makes; users at NATS and PostgreSQL |
//! | [`monitoring`] | dashboard and alert rules |
//! | [`words`] | variables and command lines in comments, scripts and instructions |
//! | [`mistakes`] | each check finds what it is for |

#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a program of tests: what goes wrong ends the test"
)]

mod accounts;
mod compose;
mod compose_checks;
mod files;
mod images;
mod kustomize;
mod mistakes;
mod monitoring;
mod network;
mod problems;
mod program;
mod secrets;
mod words;
mod workloads;

use files::Repository;
use problems::Problems;

type Check = fn(&Repository, &mut Problems);

const CHECKS: [(&str, Check); 9] = [
    ("files", words::every_file_is_known),
    ("variables", words::variables),
    ("command lines", words::command_lines),
    ("references", words::references),
    ("compose", compose_checks::check),
    ("kubernetes", workloads::check),
    ("accounts", accounts::check),
    ("dashboard", monitoring::dashboard),
    ("alerts", monitoring::alerts),
];

#[test]
fn the_files_fit_the_program() {
    let mut problems = Problems::default();
    for (name, check) in CHECKS {
        let before = problems.0.len();
        check(&Repository::ours(), &mut problems);
        for problem in &mut problems.0[before..] {
            *problem = format!("{name}: {problem}");
        }
    }
    assert!(problems.0.is_empty(), "{}", problems.0.join("\n"));
}
