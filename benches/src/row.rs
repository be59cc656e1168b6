//! Rows of the table, and the medians and ranges in them.

use std::fmt;

use serde::Serialize;

/// What was measured, and what is to be reached.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// The name on the command line.
    pub(crate) group: String,
    /// What is measured, with its unit.
    pub(crate) what: String,
    /// The peer, or the unit of a figure without one.
    pub(crate) against: String,
    /// Median.
    pub(crate) ours: Option<f64>,
    /// Median.
    pub(crate) peer: Option<f64>,
    /// Ours divided by the peer's, or by the limit of a figure without a peer.
    pub(crate) ratio: Option<Spread>,
    /// What the ratio, or the figure, must reach.
    pub(crate) aim: Aim,
    /// Whether it does; `None` without an aim.
    pub(crate) met: Option<bool>,
    /// Why it was not measured.
    pub(crate) missing: Option<String>,
}

/// Median and range of the rounds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    /// Of all rounds.
    pub(crate) median: f64,
    /// The least.
    pub(crate) low: f64,
    /// The greatest.
    pub(crate) high: f64,
}

/// The ratio to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    /// For rates: ours divided by the peer's must not be less.
    AtLeast(f64),
    /// For durations: ours divided by the peer's must not be more.
    AtMost(f64),
    /// Shown for comparison only.
    Open,
}

impl Row {
    /// Without figures.
    pub(crate) fn new(what: &str, against: &str, aim: Aim) -> Self {
        Self {
            group: String::new(),
            what: what.to_owned(),
            against: against.to_owned(),
            ours: None,
            peer: None,
            ratio: None,
            aim,
            met: None,
            missing: None,
        }
    }

    /// Not measured, for a reason.
    pub(crate) fn missing(what: &str, against: &str, aim: Aim, why: &str) -> Self {
        let missing = Some(why.to_owned());
        Self {
            missing,
            ..Self::new(what, against, aim)
        }
    }

    /// The median of the ratios and their range, or nothing for a figure without a peer.
    pub(crate) fn ratio_and_range(&self) -> (String, String) {
        match (self.peer, self.ratio) {
            (Some(_), Some(Spread { median, low, high })) => {
                (format!("{median:.2}"), format!("{low:.2}..{high:.2}"))
            }
            _ => Default::default(),
        }
    }

    /// Met, missed, or why there is no answer.
    pub(crate) fn verdict(&self) -> &str {
        match (&self.missing, self.met) {
            (Some(why), _) => why,
            (None, Some(true)) => "met",
            (None, Some(false)) => "missed",
            (None, None) => "",
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ratio, range) = self.ratio_and_range();
        let (ours, peer) = (figure(self.ours), figure(self.peer));
        let Self {
            what, against, aim, ..
        } = self;
        write!(
            f,
            "{what:<48} {against:<36} {ours:>10} {peer:>10} {ratio:>7} {range:>14}  {aim:<7} {}",
            self.verdict()
        )
    }
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        let median = median(&mut values);
        let bound = |value: Option<&f64>| value.copied().unwrap_or(median);
        Self {
            median,
            low: bound(values.first()),
            high: bound(values.last()),
        }
    }
}

impl Aim {
    /// Whether a ratio reaches it.
    pub(crate) fn met(self, ratio: f64) -> Option<bool> {
        match self {
            Self::AtLeast(wanted) => Some(ratio >= wanted),
            Self::AtMost(wanted) => Some(ratio <= wanted),
            Self::Open => None,
        }
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(wanted) => f.pad(&format!(">= {wanted}")),
            Self::AtMost(wanted) => f.pad(&format!("<= {wanted}")),
            Self::Open => f.pad(""),
        }
    }
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

/// With as many digits as mean something.
pub(crate) fn figure(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(v) if v >= 1000.0 => format!("{v:.0}"),
        Some(v) if v >= 10.0 => format!("{v:.1}"),
        Some(v) => format!("{v:.3}"),
    }
}

/// So many clients.
pub(crate) fn some(clients: usize) -> String {
    match clients {
        1 => "1 client".to_owned(),
        more => format!("{more} clients"),
    }
}
