//! What Linux tells of processes.

use std::fs;

use crate::log::message;

/// A part, its process id and its resident memory in MiB.
pub(crate) type Process = (String, u32, f64);

/// The parts that this process has started.
pub(crate) fn children() -> Result<Vec<Process>, String> {
    let own = std::process::id().to_string();
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").map_err(message)?.flatten() {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let (Ok(line), Ok(stat)) = (
            fs::read_to_string(entry.path().join("cmdline")),
            fs::read_to_string(entry.path().join("stat")),
        ) else {
            continue;
        };
        // After the name, in parentheses, come the state and the parent.
        let parent = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(1));
        let mut words = line.split('\0');
        let program = words
            .next()
            .is_some_and(|program| program.ends_with("/portico"));
        if program
            && parent == Some(&own)
            && let Some(part) = words.nth(1)
        {
            children.push((part.to_owned(), id, resident(id)?));
        }
    }
    Ok(children)
}

/// Seconds of CPU that a process has used, with its threads.
pub(crate) fn cpu(process: u32) -> Result<f64, String> {
    /// `USER_HZ`, which is 100 on every Linux that matters.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).map_err(message)?;
    // The name, in parentheses, may hold spaces; after it come the state and 10 fields before the times.
    let (_, fields) = stat.rsplit_once(") ").ok_or("no fields")?;
    let times = fields.split(' ').skip(11).take(2);
    let times = times.map(|ticks| ticks.parse::<f64>().map_err(message));
    Ok(times.sum::<Result<f64, _>>()? / TICKS)
}

/// How often its threads have begun to run again after they had waited.
pub(crate) fn wakeups(process: u32) -> Result<f64, String> {
    let mut sum = 0.0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))
        .map_err(message)?
        .flatten()
    {
        sum += labelled(
            &thread.path().join("status").display().to_string(),
            "voluntary_ctxt_switches:",
        )?;
    }
    Ok(sum)
}

/// Resident memory in MiB.
pub(crate) fn resident(process: u32) -> Result<f64, String> {
    Ok(labelled(&format!("/proc/{process}/status"), "VmRSS:")? / 1024.0)
}

/// The highest resident memory so far, in MiB.
pub(crate) fn peak(process: u32) -> Result<f64, String> {
    Ok(labelled(&format!("/proc/{process}/status"), "VmHWM:")? / 1024.0)
}

/// The number that follows a label in a file of `/proc`.
fn labelled(file: &str, label: &str) -> Result<f64, String> {
    let status = fs::read_to_string(file).map_err(message)?;
    let number = status.lines().find_map(|line| {
        line.strip_prefix(label)?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    });
    number.ok_or_else(|| format!("no {label} in {file}"))
}
