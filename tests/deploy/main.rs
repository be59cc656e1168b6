//! What is in `deploy/` fits the program: its command line, its configuration, its listeners, and who of the services
//! calls whom. A mistake in a file would otherwise be found by whoever deploys it.
//!
//! | room | what is held against what |
//! |---|---|
//! | [`program`] | the program's own parser, configuration, routes of probes |
//! | [`images`] | the Dockerfile; tags |
//! | [`compose`], [`compose_checks`] | `docker-compose.yml` |
//! | [`helm`], [`values`] | the chart: helm's own lint, the API's schemas, values that are refused |
//! | [`workloads`], [`scaling`], [`ingress`], [`network`] | the objects that the chart gives with each file in its `ci/` |
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
mod helm;
mod images;
mod ingress;
mod mistakes;
mod monitoring;
mod network;
mod problems;
mod program;
mod scaling;
mod secrets;
mod values;
mod words;
mod workloads;

use std::process::ExitCode;

use files::Repository;
use helm::{HELM, KUBECONFORM, PROMTOOL};
use portico_trials::{run, trials};
use problems::Problems;

type Check = fn(&Repository, &mut Problems);

const CHECKS: [(&str, Check); 8] = [
    ("files", words::every_file_is_known),
    ("variables", words::variables),
    ("command lines", words::command_lines),
    ("references", words::references),
    ("compose", compose_checks::check),
    ("accounts", accounts::check),
    ("dashboard", monitoring::dashboard),
    ("alerts", monitoring::alerts),
];
/// Those that need Helm.
const CHART_CHECKS: [(&str, Check); 3] = [
    ("minimal", |ours, problems| {
        workloads::check(ours, "minimal", problems)
    }),
    ("production", |ours, problems| {
        workloads::check(ours, "production", problems)
    }),
    ("external-secrets", |ours, problems| {
        workloads::check(ours, "external-secrets", problems)
    }),
];

fn main() -> ExitCode {
    use helm::{
        commands_of_the_page_work, helm_lints_the_chart, kubernetes_takes_the_objects,
        prometheus_takes_the_scrape_configuration_of_the_page,
    };
    use mistakes::{mistakes_are_told, mistakes_in_the_chart_are_told};
    use values::{no_secret_is_a_setting, what_cannot_be_meant_is_refused_by_field};
    run([
        trials!(sync, []; the_files_fit_the_program, mistakes_are_told, no_secret_is_a_setting),
        trials!(sync, [HELM]; the_chart_fits_the_program, mistakes_in_the_chart_are_told, helm_lints_the_chart,
            what_cannot_be_meant_is_refused_by_field, commands_of_the_page_work),
        trials!(sync, [HELM, KUBECONFORM]; kubernetes_takes_the_objects),
        trials!(sync, [PROMTOOL]; prometheus_takes_the_scrape_configuration_of_the_page),
    ])
}

fn the_files_fit_the_program() {
    fits(&CHECKS);
}

fn the_chart_fits_the_program() {
    fits(&CHART_CHECKS);
}

fn fits(checks: &[(&str, Check)]) {
    let mut problems = Problems::default();
    for (name, check) in checks {
        let before = problems.0.len();
        check(&Repository::ours(), &mut problems);
        for problem in &mut problems.0[before..] {
            *problem = format!("{name}: {problem}");
        }
    }
    assert!(problems.0.is_empty(), "{}", problems.0.join("\n"));
}
