//! Two sides that take turns, and the row that tells of them.

/// How long and how often.
pub(crate) struct Rounds {
    /// Turns of each side.
    pub(crate) count: usize,
    /// Length of a turn where it is a matter of time.
    pub(crate) seconds: u64,
}

/// What the ratio ought to be.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    /// Of rates: ours is to be at least this many times the peer's.
    AtLeast(f64),
    /// Of durations: ours is to be at most this many times the peer's.
    AtMost(f64),
}

/// Heads the table.
pub(crate) fn head() {
    println!(
        "{:<44} {:<34} {:>12} {:>12} {:>7} {:>15}  aim",
        "what", "against", "ours", "peer's", "ratio", "range"
    );
}

/// Lets the two sides take turns and prints the medians, the median of the ratios and their range. Both sides give
/// figures of the same unit.
pub(crate) async fn compare(
    rounds: &Rounds,
    what: &str,
    against: &str,
    aim: Aim,
    mut ours: impl AsyncFnMut() -> Result<f64, String>,
    mut peer: impl AsyncFnMut() -> Result<f64, String>,
) -> Result<(), String> {
    let (mut mine, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds.count {
        // Who comes first changes, so that neither always finds the machine warm.
        let (our, their) = if round % 2 == 0 {
            let our = ours().await?;
            (our, peer().await?)
        } else {
            let their = peer().await?;
            (ours().await?, their)
        };
        mine.push(our);
        theirs.push(their);
        ratios.push(our / their);
    }
    let ratio = median(&mut ratios);
    let (aim, met) = match aim {
        Aim::AtLeast(wanted) => (format!(">= {wanted}"), ratio >= wanted),
        Aim::AtMost(wanted) => (format!("<= {wanted}"), ratio <= wanted),
    };
    let range = format!("{:.2}..{:.2}", ratios[0], ratios[ratios.len() - 1]);
    println!(
        "{what:<44} {against:<34} {:>12} {:>12} {ratio:>7.2} {range:>15}  {aim}{}",
        figure(median(&mut mine)),
        figure(median(&mut theirs)),
        if met { "" } else { "  missed" },
    );
    Ok(())
}

/// A row without a peer: a figure and its bound.
pub(crate) fn bound(what: &str, unit: &str, value: f64, at_most: f64) {
    println!(
        "{what:<44} {unit:<34} {:>12} {:>12} {:>7} {:>15}  <= {at_most}{}",
        figure(value),
        "",
        "",
        "",
        if value <= at_most { "" } else { "  missed" },
    );
}

/// A row that could not be measured.
pub(crate) fn skipped(what: &str, why: &str) {
    println!("{what:<44} left out: {why}");
}

/// The middle one; sorts. 0 where there is none.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which that share lies; sorts. 0 where there is none.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    // A share between 0 and 1 of a small number: no precision is lost.
    let index = (share * last as f64).round() as usize;
    values.get(index).copied().unwrap_or(0.0)
}

fn figure(value: f64) -> String {
    match value {
        v if v >= 1000.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.3}"),
    }
}
