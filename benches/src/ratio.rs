//! Comparison of two sides that take turns, printed as a row.

/// Extent of a comparison.
pub(crate) struct Rounds {
    /// Turns of each side.
    pub(crate) count: usize,
    /// Length of a turn that is limited by time.
    pub(crate) seconds: u64,
}

/// The ratio to reach.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    /// For rates: ours divided by the peer's must not be less.
    AtLeast(f64),
    /// For durations: ours divided by the peer's must not be more.
    AtMost(f64),
}

/// Prints the header of the table.
pub(crate) fn head() {
    println!(
        "{:<44} {:<34} {:>12} {:>12} {:>7} {:>15}  aim",
        "what", "against", "ours", "peer's", "ratio", "range"
    );
}

/// Lets the two sides take turns and prints the medians, the median of the ratios and their range. Both sides return
/// figures in the same unit.
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
        // The order alternates, so that no side always runs on a warm machine.
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

/// Prints a row without a peer: a figure and its upper bound.
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

/// Prints a row that could not be measured.
pub(crate) fn skipped(what: &str, why: &str) {
    println!("{what:<44} skipped: {why}");
}

/// Sorts the values and returns the median, 0 if there are none.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// Sorts the values and returns the quantile, 0 if there are none.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    // Between 0 and a small number, so the conversion is safe.
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
