//! What the journeys stand on.

pub mod actions;
pub mod browser;
pub mod collector;
pub mod documented;
pub mod peers;
pub mod process;
pub mod proxy;
pub mod world;

use std::time::Duration;

use portico_tests::patience::Pauses;

/// The longest that anything in the background may take.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Asks again until there is an answer.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let pauses = Pauses::begin();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(pauses.waited() < PATIENCE, "waited in vain: {what}");
        pauses.pause().await;
    }
}

/// Waits until there are so many, however long the queue is: what ends it is that nothing is added for as long as
/// anything may take.
pub async fn until_all(what: &str, wanted: usize, count: impl AsyncFn() -> usize) {
    let mut seen = count().await;
    while seen < wanted {
        seen = until(what, || async {
            let now = count().await;
            (now > seen).then_some(now)
        })
        .await;
    }
}
