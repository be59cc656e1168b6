//! Comparison of sides that take turns; each gives a row.

use async_trait::async_trait;

use crate::{
    rounds::Rounds,
    row::{Aim, Row, Spread, median},
};

/// A side of a comparison that may be missing.
#[async_trait(?Send)]
pub(crate) trait Side {
    /// One turn; the figure is in the unit of the row.
    async fn turn(&mut self) -> Result<f64, String>;
}

/// A peer in a comparison with several.
pub(crate) struct Contender<'a> {
    /// What it is, with its version, for people.
    pub(crate) against: String,
    /// The ratio to reach.
    pub(crate) aim: Aim,
    /// The peer, or why it is missing.
    pub(crate) side: Result<Box<dyn Side + 'a>, String>,
}

/// Lets two sides take turns. Both give figures in the same unit; a failure of either ends the measurement.
pub(crate) async fn compare(
    rounds: &Rounds,
    what: &str,
    against: &str,
    aim: Aim,
    mut ours: impl AsyncFnMut() -> Result<f64, String>,
    mut peer: impl AsyncFnMut() -> Result<f64, String>,
) -> Result<(), String> {
    rounds.progress(what);
    let mut pairs = Vec::new();
    for round in 0..rounds.count {
        // The order alternates, so that no side always runs on a warm machine.
        pairs.push(if round % 2 == 0 {
            let our = ours().await?;
            (our, peer().await?)
        } else {
            let their = peer().await?;
            (ours().await?, their)
        });
    }
    rounds.push(row(what, against, aim, &pairs));
    Ok(())
}

/// Lets several peers take turns with one of ours. What is missing or fails has its reason in its row.
pub(crate) async fn contest(
    rounds: &Rounds,
    what: &str,
    mut ours: impl AsyncFnMut() -> Result<f64, String>,
    mut peers: Vec<Contender<'_>>,
) -> Result<(), String> {
    rounds.progress(what);
    let mut pairs = vec![Vec::new(); peers.len()];
    for round in 0..rounds.count {
        let mut our = if round % 2 == 0 {
            Some(ours().await?)
        } else {
            None
        };
        let mut theirs = vec![None; peers.len()];
        for (peer, figure) in peers.iter_mut().zip(&mut theirs) {
            if let Ok(side) = &mut peer.side {
                match side.turn().await {
                    Ok(value) => *figure = Some(value),
                    Err(error) => peer.side = Err(error),
                }
            }
        }
        if our.is_none() {
            our = Some(ours().await?);
        }
        for (pairs, figure) in pairs.iter_mut().zip(theirs) {
            pairs.extend(our.zip(figure));
        }
    }
    for (peer, pairs) in peers.iter().zip(pairs) {
        rounds.push(match &peer.side {
            Ok(_) => row(what, &peer.against, peer.aim, &pairs),
            Err(reason) => Row::missing(what, &peer.against, peer.aim, reason),
        });
    }
    Ok(())
}

/// The medians of the figures, and the median and range of the ratios of those that belong together.
pub(crate) fn row(what: &str, against: &str, aim: Aim, pairs: &[(f64, f64)]) -> Row {
    let (mut ours, mut peer): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let ratio = Spread::of(pairs.iter().map(|(our, their)| our / their).collect());
    Row {
        ours: Some(median(&mut ours)),
        peer: Some(median(&mut peer)),
        met: aim.met(ratio.median),
        ratio: Some(ratio),
        ..Row::new(what, against, aim)
    }
}
