use lettre::message::{Mailbox as Address, MultiPart};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message as Outgoing, Tokio1Executor};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::outgoing::http_client;

const PATIENCE: Duration = Duration::from_secs(10);

fn letter(subject: &str) -> Outgoing {
    let from: Address = "Portico <portico@example.com>".parse().unwrap();
    let text = "Hello J\u{f6}rg,\n.a dot\n..two dots\n.\nhttps://portal.example/dashboard\n";
    let html = "<p>Hello <b>J\u{f6}rg</b></p><script>alert(1)</script>";
    Outgoing::builder()
        .from(from)
        .to("J\u{f6}rg M\u{fc}ller <joerg@example.com>".parse().unwrap())
        .subject(subject)
        .message_id(Some("<request-1@portico>".to_owned()))
        .multipart(MultiPart::alternative_plain_html(
            text.to_owned(),
            html.to_owned(),
        ))
        .unwrap()
}

fn transport(catcher: &Handle) -> AsyncSmtpTransport<Tokio1Executor> {
    AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
        .port(catcher.smtp_address().port())
        .build()
}

/// Sends everything, then reads to the end.
async fn dialogue(catcher: &Handle, lines: &str) -> String {
    let mut stream = TcpStream::connect(catcher.smtp_address()).await.unwrap();
    stream
        .write_all(lines.replace('\n', "\r\n").as_bytes())
        .await
        .unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    answers
}

fn codes(answers: &str) -> Vec<&str> {
    answers
        .lines()
        .filter(|line| line.as_bytes().get(3) == Some(&b' '))
        .map(|line| &line[..3])
        .collect()
}

#[tokio::test]
async fn a_real_mail_library_delivers_and_the_parts_come_out() {
    let catcher = start(Settings::default()).await.unwrap();
    transport(&catcher)
        .send(letter(
            "Gr\u{fc}\u{df}e: access to \u{201e}Payments\u{201c} approved, credentials ready",
        ))
        .await
        .unwrap();
    let message = catcher
        .wait_for(PATIENCE, |message| message.subject.contains("Payments"))
        .await
        .unwrap();
    assert_eq!(
        message.subject,
        "Gr\u{fc}\u{df}e: access to \u{201e}Payments\u{201c} approved, credentials ready"
    );
    assert_eq!(message.envelope_from, "portico@example.com");
    assert_eq!(message.envelope_to, ["joerg@example.com"]);
    assert_eq!(message.from, "Portico <portico@example.com>");
    assert!(
        message.to.contains("J\u{f6}rg M\u{fc}ller"),
        "{}",
        message.to
    );
    assert_eq!(message.message_id, "<request-1@portico>");
    assert!(
        message
            .text
            .starts_with("Hello J\u{f6}rg,\n.a dot\n..two dots\n.\nhttps://"),
        "{:?}",
        message.text
    );
    assert!(
        message.html.contains("<b>J\u{f6}rg</b>"),
        "{:?}",
        message.html
    );
    assert!(
        message
            .header("content-type")
            .starts_with("multipart/alternative")
    );
}

#[tokio::test]
async fn faults_refuse_or_lose_the_answer() {
    let catcher = start(Settings::default()).await.unwrap();
    let transport = transport(&catcher);
    catcher.fail_next(1, Fault::RefuseMessage(451));
    catcher.fail_next(1, Fault::RefuseRecipient(550));
    catcher.fail_next(1, Fault::Close);
    assert!(
        transport
            .send(letter("one"))
            .await
            .unwrap_err()
            .is_transient()
    );
    assert!(
        transport
            .send(letter("two"))
            .await
            .unwrap_err()
            .is_permanent()
    );
    assert!(transport.send(letter("three")).await.is_err());
    assert!(catcher.messages().is_empty());
    catcher.fail_next(1, Fault::KeepThenClose);
    assert!(transport.send(letter("four")).await.is_err());
    transport.send(letter("five")).await.unwrap();
    let messages = catcher.wait_for_count(PATIENCE, 2).await.unwrap();
    let subjects: Vec<&str> = messages
        .iter()
        .map(|message| message.subject.as_str())
        .collect();
    assert_eq!(subjects, ["four", "five"]);
    assert_eq!((messages[0].id, messages[1].id), (1, 2));
    catcher.clear();
    assert!(catcher.messages().is_empty());
}

#[tokio::test]
async fn the_dialogue_keeps_to_the_order_of_the_rfc() {
    let catcher = start(Settings {
        largest_message: 100,
        ..Settings::default()
    })
    .await
    .unwrap();
    let answers = dialogue(
        &catcher,
        "MAIL FROM:<a@a>\nEHLO me\nRCPT TO:<b@b>\nDATA\nMAIL FROM:a@a\nMAIL FROM:<a@a> SIZE=101\n\
         mail from:<a@a> SIZE=100 BODY=8BITMIME\nMAIL FROM:<c@c>\nRCPT TO:<>\nRCPT TO:<b@b>\nRSET\nDATA\n\
         NOOP\nVRFY b\nSTARTTLS\nQUIT\n",
    )
    .await;
    let expected = [
        "220", "503", "250", "503", "503", "501", "552", "250", "503", "501", "250", "250", "503",
        "250", "252", "500", "221",
    ];
    assert_eq!(codes(&answers), expected, "{answers}");
    assert!(
        answers.contains("250-SIZE 100\r\n") && answers.contains("250 8BITMIME\r\n"),
        "{answers}"
    );
}

#[tokio::test]
async fn dots_and_sizes_and_pipelined_messages() {
    let catcher = start(Settings {
        largest_message: 40,
        capacity: 2,
        ..Settings::default()
    })
    .await
    .unwrap();
    let long = "x".repeat(5000);
    let answers = dialogue(
        &catcher,
        &format!(
            "HELO me\nMAIL FROM:<>\nRCPT TO:<b@b>\nDATA\n\n..a\n.b\n.\n\
             MAIL FROM:<a@a>\nRCPT TO:<b@b>\nDATA\n\n{long}\n.\n\
             MAIL FROM:<a@a>\nRCPT TO:<b@b>\nRCPT TO:<c@c>\nDATA\n\nthird\n.\nQUIT\n"
        ),
    )
    .await;
    let expected = [
        "220", "250", "250", "250", "354", "250", "250", "250", "354", "552", "250", "250", "250",
        "354", "250", "221",
    ];
    assert_eq!(codes(&answers), expected, "{answers}");
    let messages = catcher.messages();
    assert_eq!(
        (messages[0].text.as_str(), messages[1].text.as_str()),
        (".a\nb\n", "third\n")
    );
    assert_eq!(messages[1].envelope_to, ["b@b", "c@c"]);
    assert_eq!(
        dialogue(&catcher, &format!("{long}\n"))
            .await
            .lines()
            .last(),
        Some("500 line too long")
    );
}

#[tokio::test]
async fn a_bare_line_feed_does_not_end_a_message() {
    let catcher = start(Settings::default()).await.unwrap();
    let mut stream = TcpStream::connect(catcher.smtp_address()).await.unwrap();
    let smuggled = b"HELO me\r\nMAIL FROM:<a@a>\r\nRCPT TO:<b@b>\r\nDATA\r\n\r\none\n.\r\nMAIL FROM:<x@x>\r\n.\r\nQUIT\r\n";
    stream.write_all(smuggled).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert_eq!(catcher.messages().len(), 1, "{answers}");
    assert!(catcher.messages()[0].text.contains("MAIL FROM:<x@x>"));
}

#[tokio::test]
async fn the_page_shows_foreign_text_only_escaped_or_sandboxed() {
    let catcher = start(Settings::default()).await.unwrap();
    let http = http_client().unwrap();
    let get = async |path: &str| {
        http.get(format!("{}{path}", catcher.url()))
            .send()
            .await
            .unwrap()
    };
    assert!(get("/").await.text().await.unwrap().contains("No mail yet"));
    transport(&catcher)
        .send(letter("<script>alert('subject')</script>"))
        .await
        .unwrap();

    let list = get("/").await.text().await.unwrap();
    assert!(
        list.contains("&lt;script&gt;alert(&#39;subject&#39;)") && !list.contains("<script"),
        "{list}"
    );
    assert!(
        list.contains("1 message caught") && list.contains("href=\"/messages/1\""),
        "{list}"
    );
    let view = get("/messages/1").await.text().await.unwrap();
    assert!(
        !view.contains("<script") && view.contains("sandbox=\"allow-popups "),
        "{view}"
    );
    assert!(
        view.contains("<a href=\"https://portal.example/dashboard\""),
        "{view}"
    );

    let frame = get("/messages/1/html").await;
    let policy = frame.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("sandbox"),
        "{policy}"
    );
    assert!(
        !policy.contains("allow-scripts") && !policy.contains("allow-same-origin"),
        "{policy}"
    );
    assert!(frame.text().await.unwrap().contains("<b>J\u{f6}rg</b>"));
    for path in ["/messages/2", "/messages/2/html", "/api/messages/2"] {
        assert_eq!(get(path).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn the_json_has_the_messages() {
    let catcher = start(Settings::default()).await.unwrap();
    transport(&catcher).send(letter("first")).await.unwrap();
    transport(&catcher).send(letter("second")).await.unwrap();
    let url = format!("{}/api/messages", catcher.url());
    let http = http_client().unwrap();
    let all: Value = http.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&all["messages"][0]["subject"], &all["messages"][1]["id"]),
        (&"first".into(), &2.into())
    );
    assert_eq!(all["messages"][0]["envelope_to"][0], "joerg@example.com");
    let one: Value = http
        .get(format!("{url}/2"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(one["subject"], "second");
    assert_eq!(http.delete(&url).send().await.unwrap().status(), 204);
    assert!(catcher.messages().is_empty());
}

#[tokio::test]
async fn waiting_ends_with_the_message_or_with_the_patience() {
    let catcher = start(Settings::default()).await.unwrap();
    assert!(
        catcher
            .wait_for(Duration::from_millis(20), |_| true)
            .await
            .is_none()
    );
    let (transport, letter) = (transport(&catcher), letter("late"));
    let sent = tokio::spawn(async move { transport.send(letter).await.unwrap() });
    assert_eq!(
        catcher
            .wait_for(PATIENCE, |message| message.subject == "late")
            .await
            .unwrap()
            .id,
        1
    );
    sent.await.unwrap();
}

#[tokio::test]
async fn a_stop_cuts_sessions_and_frees_the_ports() {
    let catcher = start(Settings::default()).await.unwrap();
    let mut open = TcpStream::connect(catcher.smtp_address()).await.unwrap();
    let mut greeting = [0; 3];
    open.read_exact(&mut greeting).await.unwrap();
    tokio::time::timeout(PATIENCE, catcher.stop())
        .await
        .unwrap();
    assert!(TcpStream::connect(catcher.smtp_address()).await.is_err());
    assert!(
        http_client()
            .unwrap()
            .get(catcher.url())
            .send()
            .await
            .is_err()
    );
}
