//! The mail server (RFC 5321), through lettre: one connection a message.

use std::{
    error::Error as _,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp,
};
use portico_runtime::config::Mail as Config;

use crate::templates::Filled;

/// Replies to our log-in (RFC 4954 section 6), not to the message: they pass when the configuration is mended.
const LOGIN_REFUSED: [u16; 4] = [530, 534, 535, 538];

/// Who the messages are from.
#[derive(Debug, Clone)]
pub struct Sender {
    mailbox: Mailbox,
}

impl Sender {
    /// From `mail.from`.
    ///
    /// # Errors
    /// In words; the configuration's own check is less strict than a mail header.
    pub fn new(config: &Config) -> Result<Self, String> {
        let mailbox = config.from.parse().map_err(|_| {
            "mail.from must be an address, or a name and an address: Portico <portico@example.org>"
                .to_owned()
        })?;
        Ok(Self { mailbox })
    }

    /// Host of the address; the right side of every `Message-ID`.
    pub fn host(&self) -> &str {
        self.mailbox.email.domain()
    }

    /// What people call this portal.
    pub fn name(&self) -> &str {
        self.mailbox.name.as_deref().unwrap_or("Portico")
    }
}

/// A message to one person, ready for the mail server. Holds personal data: no `Debug`.
pub struct Letter {
    /// The recipient's address.
    pub address: String,
    /// The recipient's name; may be empty.
    pub name: String,
    /// `Message-ID`, with angle brackets.
    pub message_id: String,
    /// `Date`.
    pub date: Timestamp,
    /// Subject and parts.
    pub filled: Filled,
}

/// Why a letter was not taken. The words may hold addresses.
pub enum Refusal {
    /// The recipient's address is not one.
    Address,
    /// 4xx, no connection, no answer in time, or our log-in: worth another try.
    Passing(String),
    /// 5xx.
    Final(String),
}

/// Sends letters.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Sender,
    timeout: Duration,
}

impl Mailer {
    /// `None` where no mail server is configured.
    ///
    /// # Errors
    /// In words, without the URL, which holds a password.
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
        }))
    }

    /// Hands a letter over; the mail server's reply code, 250 as a rule.
    ///
    /// # Errors
    /// Why it was not taken. After no answer in time the server may have taken it.
    pub async fn send(&self, letter: &Letter) -> Result<u16, Refusal> {
        let message = self.message(letter)?;
        match tokio::time::timeout(self.timeout, self.transport.send(message)).await {
            Ok(Ok(response)) => Ok(response.code().into()),
            Ok(Err(error)) => Err(refusal(&error)),
            Err(_) => Err(Refusal::Passing(format!(
                "the mail server did not answer within {} s",
                self.timeout.as_secs_f32()
            ))),
        }
    }

    fn message(&self, letter: &Letter) -> Result<Message, Refusal> {
        let address: Address = letter.address.parse().map_err(|_| Refusal::Address)?;
        let name = Some(letter.name.clone()).filter(|name| !name.is_empty());
        let parts = MultiPart::alternative_plain_html(
            letter.filled.text.clone(),
            letter.filled.html.clone(),
        );
        Message::builder()
            .from(self.sender.mailbox.clone())
            .to(Mailbox::new(name, address))
            .subject(letter.filled.subject.clone())
            .message_id(Some(letter.message_id.clone()))
            .date(system_time(letter.date))
            // RFC 3834 section 5: no out-of-office answers, please.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .multipart(parts)
            .map_err(|error| Refusal::Final(format!("the message could not be built: {error}")))
    }
}

/// Times before 1970 become 1970.
fn system_time(time: Timestamp) -> SystemTime {
    let seconds = u64::try_from(time.as_second()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn refusal(error: &smtp::Error) -> Refusal {
    let Some(code) = error.status().map(u16::from) else {
        return Refusal::Passing(error.to_string());
    };
    let words = error.source().map(ToString::to_string).unwrap_or_default();
    let words = format!("{code} {words}").trim_end().to_owned();
    if error.is_permanent() && !LOGIN_REFUSED.contains(&code) {
        Refusal::Final(words)
    } else {
        Refusal::Passing(words)
    }
}
