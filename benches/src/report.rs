//! What `just bench` leaves behind: `docs/benchmarks.md` with its plot, and `target/benchmarks.json`.

use std::{path::Path, process::Command};

use jiff::Timestamp;
use portico_trials::postgres::programs;
use serde::Serialize;

use crate::{
    log::message,
    plot,
    rounds::Rounds,
    row::{Row, figure},
};

/// Where the figures come from.
#[derive(Serialize)]
struct Machine {
    date: String,
    processor: String,
    cores: usize,
    memory_gib: u64,
    kernel: String,
    postgresql: String,
    nats: String,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    rounds: usize,
    rows: &'a [Row],
}

/// Writes all three files.
pub(crate) fn write(rounds: &Rounds) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (machine, rows) = (Machine::here(), rounds.rows());
    let report = Report {
        machine: &machine,
        rounds: rounds.count,
        rows: &rows,
    };
    let json = serde_json::to_string_pretty(&report).map_err(message)?;
    for (file, text) in [
        ("target/benchmarks.json", json),
        ("docs/benchmarks.svg", plot::svg(&rows)),
        ("docs/benchmarks.md", page(&machine, rounds.count, &rows)),
    ] {
        std::fs::write(root.join(file), text).map_err(|error| format!("{file}: {error}"))?;
        eprintln!("{file} written");
    }
    Ok(())
}

fn page(machine: &Machine, rounds: usize, rows: &[Row]) -> String {
    let Machine {
        date,
        processor,
        cores,
        memory_gib,
        kernel,
        postgresql,
        nats,
    } = machine;
    let measured = rows.iter().filter_map(|row| row.met);
    let (met, all) = (
        measured.clone().filter(|met| *met).count(),
        measured.count(),
    );
    let mut page = format!(
        "# Benchmarks\n\nMade by `just bench` on {date}: {processor}, {cores} cores, {memory_gib} GiB, Linux {kernel}, \
         {postgresql}, NATS {nats}. Each row is the median of {rounds} rounds, in which the sides took turns; only \
         ratios, ours to the peer's, mean something elsewhere. Figures without a unit are a second. {met} of {all} aims are met.\n\n\
         Both sides are equally durable: PostgreSQL with `fsync` and `synchronous_commit` on, SQLite with \
         `synchronous=FULL`, a server that syncs each commit. Peers run by their published packages at the settings \
         that they recommend; what was not measured says why.\n\n\
         `just bench NAME` measures one of the groups below and prints it; `benches/peers/install` installs the peers.\n\n\
         ![Ratios on a logarithmic axis, with their aims](benchmarks.svg)\n",
    );
    let mut group = "";
    for row in rows {
        if row.group != group {
            group = &row.group;
            page += &format!(
                "\n## {group}\n\n| what | against | ours | peer | ratio | range | aim | |\n"
            );
            page += "|---|---|--:|--:|--:|--:|--:|---|\n";
        }
        let (ratio, range) = row.ratio_and_range();
        let (ours, peer) = (figure(row.ours), figure(row.peer));
        let aim = row.aim.to_string().replace(">=", "≥").replace("<=", "≤");
        let cells = [
            &row.what,
            &row.against,
            &ours,
            &peer,
            &ratio,
            &range.replace("..", "–"),
            &aim,
            row.verdict(),
        ];
        page += &format!("| {} |\n", cells.map(cell).join(" | "));
    }
    page
}

/// A vertical line or a line break would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

impl Machine {
    fn here() -> Self {
        let postgres = programs().map(|folder| folder.join("postgres"));
        let unknown = || "unknown".to_owned();
        let version = |program: &str| {
            let output = Command::new(program).arg("--version").output().ok()?;
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let postgresql = postgres.and_then(|program| version(&program.display().to_string()));
        let nats =
            version("nats-server").and_then(|text| Some(text.split_once(": v")?.1.to_owned()));
        let kib = after("/proc/meminfo", "MemTotal:")
            .and_then(|kib| kib.strip_suffix(" kB")?.parse().ok());
        Self {
            date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
            processor: after("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kib.unwrap_or(0_u64).div_ceil(1024 * 1024),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| unknown(), |text| text.trim().to_owned()),
            postgresql: postgresql.map_or_else(unknown, |text| {
                text.replace("postgres (PostgreSQL)", "PostgreSQL")
            }),
            nats: nats.unwrap_or_else(unknown),
        }
    }
}

/// What follows a label in a file of `/proc`.
fn after(file: &str, label: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    Some(rest.trim_start_matches([' ', '\t', ':']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ratio::row, row::Aim};

    fn rows() -> Vec<Row> {
        let mut rows = vec![
            row(
                "append, 1 client",
                "pgbench",
                Aim::AtLeast(0.8),
                &[(9.0, 10.0), (7.0, 10.0), (12.0, 10.0)],
            ),
            row("page, p99", "axum", Aim::AtMost(2.0), &[(30.0, 10.0)]),
            row("load", "other | store", Aim::Open, &[(5.0, 10.0)]),
            Row::missing("read", "third", Aim::AtLeast(5.0), "not installed"),
        ];
        rows.iter_mut()
            .for_each(|row| row.group = "append".to_owned());
        rows
    }

    #[test]
    fn the_page_says_what_was_met_and_why_something_was_not_measured() {
        let page = page(&Machine::here(), 3, &rows());
        assert!(page.contains("1 of 2 aims are met"), "{page}");
        assert!(page.contains(
            "| append, 1 client | pgbench | 9.000 | 10.0 | 0.90 | 0.70–1.20 | ≥ 0.8 | met |"
        ));
        assert!(
            page.contains("| page, p99 | axum | 30.0 | 10.0 | 3.00 | 3.00–3.00 | ≤ 2 | missed |")
        );
        assert!(page.contains("| load | other \\| store |"));
        assert!(page.contains("| read | third |  |  |  |  | ≥ 5 | not installed |"));
    }

    #[test]
    fn the_plot_has_a_point_for_each_ratio_and_a_bar_for_each_aim() {
        let svg = plot::svg(&rows());
        assert_eq!(svg.matches("<circle").count(), 3, "{svg}");
        assert_eq!(svg.matches("class=\"aim\"").count(), 2);
        assert_eq!(
            svg.matches("class=\"missed\"").count(),
            2,
            "a line and a point"
        );
    }
}
