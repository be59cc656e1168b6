//! UmaDB: a tag takes the place of a stream, the last event's position that of a version.

use async_trait::async_trait;
use serde_json::json;
use umadb_client::{AsyncUmaDbClient, UmaDbClient};
use umadb_dcb::{DcbAppendCondition, DcbEvent, DcbEventStoreAsync as _, DcbQuery, DcbQueryItem};
use uuid::Uuid;

use crate::{
    Failure,
    work::{READ, Store, TEXT},
};

/// One connection, which multiplexes.
pub struct UmaDb(AsyncUmaDbClient);

pub async fn open(url: &str) -> Result<impl Store + use<>, Failure> {
    Ok(UmaDb(
        UmaDbClient::new(url.to_owned()).connect_async().await?,
    ))
}

fn stream_query(stream: &str) -> DcbQuery {
    DcbQuery::new().item(DcbQueryItem::new().types(["written"]).tags([stream]))
}

#[async_trait]
impl Store for UmaDb {
    async fn append(&self, stream: &str, last: i64, count: usize) -> Result<Option<i64>, Failure> {
        let events = (0..count).map(|_| {
            let id = Uuid::now_v7();
            DcbEvent::default()
                .event_type("written")
                .tags([stream])
                .data(
                    json!({ "text": TEXT, "subject": id })
                        .to_string()
                        .into_bytes(),
                )
                .uuid(id)
                .metadata_entry("actor", id.to_string())
                .metadata_entry("correlation", id.to_string())
        });
        let last = u64::try_from(last).ok().filter(|last| *last > 0);
        let condition = DcbAppendCondition::new(stream_query(stream)).after(last);
        let position = self
            .0
            .append(events.collect(), Some(condition), None)
            .await?;
        Ok(Some(i64::try_from(position)?))
    }

    async fn load(&self, stream: &str) -> Result<usize, Failure> {
        let read = self
            .0
            .read_with_head(Some(stream_query(stream)), None, false, None)
            .await?;
        Ok(read.0.len())
    }

    async fn read(&self) -> Result<usize, Failure> {
        let limit = Some(u32::try_from(READ)?);
        Ok(self
            .0
            .read_with_head(None, Some(2), false, limit)
            .await?
            .0
            .len())
    }

    async fn start_view(&self) -> Result<(), Failure> {
        Err("keeps no views".into())
    }

    async fn viewed(&self) -> Result<i64, Failure> {
        Ok(0)
    }
}
