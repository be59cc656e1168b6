//! An append in one call, and what makes it go step by step.

use futures::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use portico_eventstore::{
    Beside, ExecuteError, Tx, cells,
    sqlx::{self, Row as _},
    testing::context,
};
use portico_trials::Trial;
use uuid::Uuid;

use crate::{
    counter::*,
    place::{Place, assert_gap_free, on_every_database},
};

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        positions_are_right_whoever_appended_before,
        what_must_touch_rows_does_or_nothing_is_written,
        something_may_be_asked_in_between,
        a_query_that_finds_forbids,
    )
}

/// A process guesses which positions its events get.
async fn positions_are_right_whoever_appended_before(place: Place) {
    let stores = [place.open().await, place.open().await, place.open().await];
    for turn in 0..30 {
        let store = &stores[turn * 7 % 3];
        store.append(append(new_id(), 0, &[1, 2])).await.unwrap();
    }
    assert_eq!(assert_gap_free(&stores[0]).await, 60);
    let rows = sqlx::query(
        "SELECT COUNT(*) FROM folded f JOIN events e ON e.position = f.began AND e.version = 1 \
         AND e.stream = 'counter-' || f.id",
    )
    .fetch_one(stores[0].database().pool())
    .await
    .unwrap();
    assert_eq!(rows.get::<i64, _>(0), 30);
}

/// The number of events of a command with this beside it, or why there are none.
async fn run(
    place: &Place,
    beside: impl for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, sqlx::Result<()>> + Send + Sync + 'static,
) -> Result<usize, ExecuteError<Closed>> {
    let store = place.open().await;
    let beside = Beside::new(move |tx| beside(tx).map_err(Into::into).boxed());
    let (id, command) = (new_id(), Command::Add(1));
    let context = context(new_id());
    let done = store.execute_beside::<Counter>(id, 0, &command, &context, Some(beside));
    done.await.map(|outcome| outcome.events.len())
}

/// What a view returns where a rule stops it.
fn stopped() -> sqlx::Error {
    sqlx::Error::RowNotFound
}

async fn what_must_touch_rows_does_or_nothing_is_written(place: Place) {
    async fn write(tx: &mut Tx, rows: u64) -> sqlx::Result<()> {
        let sql = "INSERT INTO checkpoints (name, position) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        let touches = tx.touches(rows, sql, cells![Uuid::nil(), 7_i64]).await?;
        touches.then_some(()).ok_or_else(stopped)
    }
    let one = |place| run(place, |tx| write(tx, 1).boxed());
    assert_eq!(one(&place).await.unwrap(), 1);
    let again = one(&place).await;
    assert!(matches!(again, Err(ExecuteError::Store(_))), "{again:?}");
    let none = run(&place, |tx| write(tx, 0).boxed());
    assert_eq!(none.await.unwrap(), 1);
    assert_eq!(assert_gap_free(&place.open().await).await, 2);
}

async fn something_may_be_asked_in_between(place: Place) {
    async fn ask(tx: &mut Tx) -> sqlx::Result<()> {
        let count = sqlx::query("SELECT COUNT(*) FROM events");
        let row = count.fetch_one(tx.connection()?).await?;
        let name = format!("after {}", row.get::<i64, _>(0));
        let sql = "INSERT INTO checkpoints (name, position) VALUES ($1, $2)";
        tx.execute(sql, cells![name, 3_i64]).await
    }
    let asked = run(&place, |tx| ask(tx).boxed());
    assert_eq!(asked.await.unwrap(), 1);
    // The event was there already.
    let store = place.open().await;
    let row = sqlx::query("SELECT position FROM checkpoints WHERE name = 'after 1'");
    let row = row.fetch_one(store.database().pool()).await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 3);
}

async fn a_query_that_finds_forbids(place: Place) {
    async fn forbid(tx: &mut Tx) -> sqlx::Result<()> {
        let sql = "SELECT 1 FROM events WHERE version > $1";
        let finds = tx.finds(sql, cells![1_i64]).await?;
        (!finds).then_some(()).ok_or_else(stopped)
    }
    let try_one = |place| run(place, |tx| forbid(tx).boxed());
    assert_eq!(try_one(&place).await.unwrap(), 1);
    let store = place.open().await;
    store.append(append(new_id(), 0, &[1, 2])).await.unwrap();
    let forbidden = try_one(&place).await;
    assert!(
        matches!(forbidden, Err(ExecuteError::Store(_))),
        "{forbidden:?}"
    );
    assert_eq!(assert_gap_free(&store).await, 3);
}
