//! The mail server (RFC 5321), through lettre; one connection for each message.

use std::{
    error::Error as _,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp,
};
use portico_runtime::{config::Mail as Config, outgoing::KnownSecrets};

use crate::templates::Filled;

/// Replies to our login (RFC 4954 section 6). They are 5xx, but not about the message: it can be sent once the
/// configuration is corrected.
const LOGIN_REFUSED: [u16; 4] = [530, 534, 535, 538];

/// The `From` of all messages.
#[derive(Debug, Clone)]
pub struct Sender {
    mailbox: Mailbox,
}

impl Sender {
    /// Parses `mail.from`.
    ///
    /// # Errors
    /// For the operator. The check of the configuration is less strict than that of a mail header.
    pub fn new(config: &Config) -> Result<Self, String> {
        let mailbox = config.from.parse().map_err(|_| {
            "mail.from must be an address, or a name and an address: Portico <portico@example.org>"
                .to_owned()
        })?;
        Ok(Self { mailbox })
    }

    /// Host of the address; the right-hand side of every `Message-ID`.
    pub fn host(&self) -> &str {
        self.mailbox.email.domain()
    }

    /// Name of this portal, for people.
    pub fn name(&self) -> &str {
        self.mailbox.name.as_deref().unwrap_or("Portico")
    }
}

/// A message to one person, ready for the mail server. Holds personal data: no `Debug`.
pub struct Letter {
    /// E-mail address of the recipient.
    pub address: String,
    /// Of the recipient; may be empty.
    pub name: String,
    /// `Message-ID`, with angle brackets.
    pub message_id: String,
    /// `Date`.
    pub date: Timestamp,
    /// Subject, text and HTML.
    pub filled: Filled,
}

/// Why the mail server did not accept a letter. The text may hold addresses.
pub enum Refusal {
    /// The recipient's address is invalid.
    Address,
    /// 4xx, no connection, a timeout, or a refused login: may succeed later.
    Transient(String),
    /// 5xx: this message will never be accepted.
    Permanent(String),
}

/// Client of the mail server. Cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Sender,
    timeout: Duration,
    /// What we log in with; servers quote it in their replies.
    secrets: KnownSecrets,
}

impl Mailer {
    /// `None` when no mail server is configured.
    ///
    /// # Errors
    /// For the operator, without the URL, which may hold a password.
    pub fn new(config: &Config, sender: Sender) -> Result<Option<Self>, String> {
        let Some(url) = &config.smtp_url else {
            return Ok(None);
        };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose())
            .map_err(|_| {
                "smtp.url must be smtps://host, smtp://host or smtp://host?tls=required".to_owned()
            })?
            .timeout(Some(config.timeout))
            .build();
        Ok(Some(Self {
            transport,
            sender,
            timeout: config.timeout,
            secrets: KnownSecrets::of_url(url),
        }))
    }

    /// Sends a letter and returns the mail server's reply code, usually 250.
    ///
    /// # Errors
    /// Why it was not accepted. After a timeout the server may have accepted it.
    pub async fn send(&self, letter: &Letter) -> Result<u16, Refusal> {
        let message = self.message(letter)?;
        match tokio::time::timeout(self.timeout, self.transport.send(message)).await {
            Ok(Ok(response)) => Ok(response.code().into()),
            // Said before anything of the message; a server that cannot do it now will not be able to in an hour.
            Ok(Err(error)) if error.is_client() && error.to_string().contains("SMTPUTF8") => {
                Err(Refusal::Permanent(
                    "the mail server does not take addresses with letters outside ASCII (SMTPUTF8)"
                        .to_owned(),
                ))
            }
            Ok(Err(error)) => Err(refusal(&error, &self.secrets)),
            Err(_) => Err(Refusal::Transient(format!(
                "the mail server did not answer within {} s",
                self.timeout.as_secs_f32()
            ))),
        }
    }

    fn message(&self, letter: &Letter) -> Result<Message, Refusal> {
        let address: Address = letter.address.parse().map_err(|_| Refusal::Address)?;
        let name = Some(letter.name.clone()).filter(|name| !name.is_empty());
        let to = Mailbox::new(name, address);
        let parts = MultiPart::alternative_plain_html(
            letter.filled.text.clone(),
            letter.filled.html.clone(),
        );
        let mut builder = Message::builder()
            .from(self.sender.mailbox.clone())
            .to(to.clone())
            .subject(letter.filled.subject.clone());
        // After the fields themselves, which the envelope is made of.
        if looks_encoded(&letter.filled.subject) {
            let subject = encoded_words(&letter.filled.subject);
            builder = builder.raw_header(field("Subject", letter.filled.subject.clone(), subject));
        }
        if looks_encoded(&letter.name) {
            let address = format!("{}\r\n <{}>", encoded_words(&letter.name), to.email);
            builder = builder.raw_header(field("To", to.to_string(), address));
        }
        builder
            .message_id(Some(letter.message_id.clone()))
            .date(system_time(letter.date))
            // RFC 3834 section 5: prevents out-of-office replies.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .multipart(parts)
            .map_err(|error| Refusal::Permanent(format!("the message could not be built: {error}")))
    }
}

/// Readers would decode it into a text that passed no check; the library leaves ASCII as it is.
fn looks_encoded(text: &str) -> bool {
    text.contains("=?")
}

/// Text of an encoded word, in bytes: with what is around it and in base64 not more than 75 characters (RFC 2047 section 2).
const WORD: usize = 45;

/// A text as encoded words in base64, one in a line.
fn encoded_words(text: &str) -> String {
    let mut words = vec![String::new()];
    for character in text.chars() {
        match words.last_mut() {
            // A character is never divided (RFC 2047 section 5).
            Some(word) if word.len() + character.len_utf8() <= WORD => word.push(character),
            _ => words.push(character.to_string()),
        }
    }
    let encoded = words
        .iter()
        .map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word)));
    encoded.collect::<Vec<_>>().join("\r\n ")
}

/// A header field that is encoded already, with its text for the library.
fn field(name: &'static str, text: String, encoded: String) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str(name);
    HeaderValue::dangerous_new_pre_encoded(name, text, encoded)
}

/// A time before 1970 becomes 1970.
fn system_time(time: Timestamp) -> SystemTime {
    let seconds = u64::try_from(time.as_second()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn refusal(error: &smtp::Error, secrets: &KnownSecrets) -> Refusal {
    let Some(code) = error.status().map(u16::from) else {
        return Refusal::Transient(secrets.hidden_in(&error.to_string()));
    };
    let reply = error.source().map(ToString::to_string).unwrap_or_default();
    let reply = secrets.hidden_in(&reply);
    let text = format!("{code} {reply}").trim_end().to_owned();
    if error.is_permanent() && !LOGIN_REFUSED.contains(&code) {
        Refusal::Permanent(text)
    } else {
        Refusal::Transient(text)
    }
}

#[cfg(test)]
mod tests {
    use portico_runtime::config::Config as All;
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

    use super::*;

    /// A mail server that quotes what it was given, as it came and in other words.
    async fn quoting(password: &'static str) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (reader, mut writer) = stream.into_split();
            writer.write_all(b"220 mail.example\r\n").await.unwrap();
            let mut lines = BufReader::new(reader).lines();
            while let Some(line) = lines.next_line().await.unwrap() {
                let reply = match line.split_once(' ') {
                    Some(("EHLO", _)) => "250-mail.example\r\n250 AUTH PLAIN LOGIN\r\n".to_owned(),
                    Some(("AUTH", sent)) => format!("535 5.7.8 {sent}, that is {password}\r\n"),
                    _ => "221 bye\r\n".to_owned(),
                };
                writer.write_all(reply.as_bytes()).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn the_password_is_not_in_what_a_mail_server_says() {
        let password = "pass-word@7";
        let address = quoting(password).await;
        let url = format!("smtp://portal:pass-word%407@{address}");
        let config = All::from_parts(None, [("PORTICO_SMTP_URL", url.as_str())]).unwrap();
        let sender = Sender::new(&config.mail).unwrap();
        let mailer = Mailer::new(&config.mail, sender).unwrap().unwrap();
        let letter = Letter {
            address: "dee@people.example".into(),
            name: String::new(),
            message_id: "<1@mail.example>".into(),
            date: Timestamp::UNIX_EPOCH,
            filled: Filled {
                subject: "Hello".into(),
                text: "Hello".into(),
                html: "Hello".into(),
            },
        };
        let Err(Refusal::Transient(text)) = mailer.send(&letter).await else {
            panic!("the login is refused, and may be right later");
        };
        assert_eq!(text, "535 5.7.8 PLAIN [redacted], that is [redacted]");
    }

    #[test]
    fn encoded_words_keep_to_their_length_and_divide_no_character() {
        let text = format!("=?utf-8?b?WW91?= {}", "ä€😀".repeat(20));
        let encoded = encoded_words(&text);
        let mut decoded = String::new();
        for line in encoded.split("\r\n ") {
            assert!(line.len() <= 75, "{line}");
            let word = line
                .strip_prefix("=?utf-8?B?")
                .and_then(|rest| rest.strip_suffix("?="));
            let bytes = STANDARD.decode(word.unwrap()).unwrap();
            decoded.push_str(&String::from_utf8(bytes).unwrap());
        }
        assert_eq!(decoded, text);
    }
}
