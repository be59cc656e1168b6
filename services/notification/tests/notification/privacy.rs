//! Addresses and names of people are nowhere but in the mails.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use portico_sandbox::mail::Fault;
use tracing::Level;
use tracing_subscriber::{
    Layer as _, filter::filter_fn, fmt::MakeWriter, layer::SubscriberExt as _,
};

use super::support::*;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

const PERSONAL: [&str; 9] = [
    "dee.mueller",
    "Dee Müller",
    "ada.admin",
    "Ada Admin",
    "bo.boss",
    "Bo Boss",
    "people.example",
    "Please, for the shop",
    "Not in this quarter",
];

#[track_caller]
fn assert_clean(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for word in PERSONAL {
        if let Some(at) = text.find(word) {
            let line = text[..at].rfind('\n').map_or(0, |n| n + 1);
            panic!("{word} is in {what}: {}", &text[line..at + word.len()]);
        }
    }
}

// The log is that of the whole process, so what tests beside this one log is looked at, too.
#[tokio::test]
async fn no_address_in_events_database_messages_and_logs() {
    let log = Log::default();
    let ours = filter_fn(|data| !data.target().starts_with("portico_sandbox"));
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(log.clone())
        .with_filter(ours);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
    assert!(tracing::enabled!(Level::TRACE));

    let app = Setup::new().await.start().await;
    let mut published = app.published().await;
    app.setup.mail.fail_next(1, Fault::RefuseMessage(451));
    app.tell(submitted(1)).await;
    app.setup.mail.wait_for_count(PATIENCE, 2).await.unwrap();
    app.setup.mail.fail_next(1, Fault::RefuseRecipient(550));
    app.tell(rejected(2)).await;
    for _ in 0..3 {
        let message = next(&mut published).await;
        assert_clean("a message", &message.payload);
        assert_clean("a message", format!("{:?}", message.headers).as_bytes());
    }
    for event in app.store.read(0, 1000).await.unwrap() {
        assert_clean("an event", format!("{event:?}").as_bytes());
    }
    for delivery in app.deliveries().await {
        assert_clean("the list", format!("{delivery:?}").as_bytes());
    }
    let data = app.data();
    let setup = app.stop().await;
    let mut files = 0;
    for file in std::fs::read_dir(data).unwrap() {
        let path = file.unwrap().path();
        assert_clean(&path.display().to_string(), &std::fs::read(&path).unwrap());
        files += 1;
    }
    assert!(files >= 2, "the database and the key");
    let log = log.0.lock().unwrap().clone();
    let text = String::from_utf8_lossy(&log);
    assert!(text.contains("mail delayed") && text.contains("mail failed"));
    assert_clean("the log", &log);
    // The test would find them: the mails have them.
    assert!(
        setup
            .mail
            .messages()
            .iter()
            .any(|mail| mail.text.contains("Ada Admin"))
    );
}
