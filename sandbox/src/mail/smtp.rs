//! The receiving side of SMTP (RFC 5321) with SIZE, 8BITMIME, SMTPUTF8 and PIPELINING;
//! no TLS and no authentication. It takes every sender and recipient.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::mailbox::{Fault, Mailbox};
use super::message::Message;
use crate::clock::SandboxClock;

/// A command line; RFC 5321 section 4.5.3.1.4 asks for 512, extensions for more.
const LONGEST_LINE: u64 = 4096;
const MOST_RECIPIENTS: usize = 100;
const IDLE: Duration = Duration::from_secs(300);

pub(super) struct Smtp {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) clock: SandboxClock,
    pub(super) largest_message: usize,
    pub(super) smtputf8: bool,
}

pub(super) async fn accept(
    listener: TcpListener,
    smtp: Arc<Smtp>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (smtp, stop) = (Arc::clone(&smtp), stop.clone());
                tasks.spawn(async move {
                    let session = Session::new(smtp, stream);
                    tokio::select! {
                        () = stop.cancelled() => (),
                        ended = session.run() => {
                            if let Err(error) = ended {
                                tracing::debug!(%error, "SMTP session ended early");
                            }
                        }
                    }
                });
            }
            Err(error) => tracing::debug!(%error, "accept failed"),
        }
    }
}

struct Session {
    smtp: Arc<Smtp>,
    stream: BufReader<TcpStream>,
    greeted: bool,
    sender: Option<String>,
    recipients: Vec<String>,
}

/// Whether the session goes on.
enum Next {
    Command,
    End,
}

/// The body of a message, as far as it was kept.
struct Body {
    bytes: Vec<u8>,
    too_large: bool,
}

impl Session {
    fn new(smtp: Arc<Smtp>, stream: TcpStream) -> Self {
        Self {
            smtp,
            stream: BufReader::new(stream),
            greeted: false,
            sender: None,
            recipients: Vec::new(),
        }
    }

    async fn run(mut self) -> std::io::Result<()> {
        self.reply("220 portico-sandbox ESMTP").await?;
        while let Some(line) = self.line(LONGEST_LINE).await? {
            let Some(line) = line.strip_suffix(b"\n") else {
                return self.reply("500 line too long").await;
            };
            let line = String::from_utf8_lossy(line).trim_end().to_owned();
            if let Next::End = self.command(&line).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One line with its end, or its first `limit` bytes; `None` at the end of the stream.
    async fn line(&mut self, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(limit);
        let read = limited.read_until(b'\n', &mut line);
        let idle = || std::io::Error::new(std::io::ErrorKind::TimedOut, "idle");
        let count = tokio::time::timeout(IDLE, read)
            .await
            .map_err(|_| idle())??;
        Ok((count > 0).then_some(line))
    }

    async fn reply(&mut self, text: &str) -> std::io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(format!("{text}\r\n").as_bytes()).await?;
        stream.flush().await
    }

    async fn command(&mut self, line: &str) -> std::io::Result<Next> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let reply = match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.greet();
                let size = self.smtp.largest_message;
                let smtputf8 = if self.smtp.smtputf8 {
                    "250-SMTPUTF8\r\n"
                } else {
                    ""
                };
                format!(
                    "250-portico-sandbox\r\n250-PIPELINING\r\n250-SIZE {size}\r\n{smtputf8}250 8BITMIME"
                )
            }
            "HELO" => {
                self.greet();
                "250 portico-sandbox".to_owned()
            }
            "MAIL" => self.mail(rest).to_owned(),
            "RCPT" => self.recipient(rest),
            "DATA" => return self.data().await,
            "RSET" => {
                self.reset();
                "250 ok".to_owned()
            }
            "NOOP" => "250 ok".to_owned(),
            "VRFY" => "252 cannot verify, will try".to_owned(),
            "QUIT" => {
                self.reply("221 bye").await?;
                return Ok(Next::End);
            }
            _ => "500 command not known".to_owned(),
        };
        self.reply(&reply).await?;
        Ok(Next::Command)
    }

    fn greet(&mut self) {
        self.reset();
        self.greeted = true;
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
    }

    fn mail(&mut self, rest: &str) -> &'static str {
        if !self.greeted || self.sender.is_some() {
            return "503 bad sequence of commands";
        }
        let Some((address, parameters)) = path(rest, "FROM:") else {
            return "501 MAIL FROM:<address>";
        };
        let announced = parameters.split_whitespace().find_map(|one| {
            one.to_ascii_uppercase()
                .strip_prefix("SIZE=")?
                .parse::<usize>()
                .ok()
        });
        if announced.is_some_and(|size| size > self.smtp.largest_message) {
            return "552 the message is too large";
        }
        self.sender = Some(address.to_owned());
        "250 ok"
    }

    fn recipient(&mut self, rest: &str) -> String {
        if self.sender.is_none() {
            return "503 bad sequence of commands".to_owned();
        }
        let Some((address, _)) = path(rest, "TO:").filter(|(address, _)| !address.is_empty())
        else {
            return "501 RCPT TO:<address>".to_owned();
        };
        if self.recipients.len() >= MOST_RECIPIENTS {
            return "452 too many recipients".to_owned();
        }
        let fault = self
            .smtp
            .mailbox
            .take_fault(|fault| matches!(fault, Fault::RefuseRecipient(_)));
        if let Some(Fault::RefuseRecipient(code)) = fault {
            return refusal(code);
        }
        self.recipients.push(address.to_owned());
        "250 ok".to_owned()
    }

    async fn data(&mut self) -> std::io::Result<Next> {
        if self.recipients.is_empty() {
            self.reply("503 bad sequence of commands").await?;
            return Ok(Next::Command);
        }
        self.reply("354 end with a line that has only a dot")
            .await?;
        let Some(body) = self.body().await? else {
            return Ok(Next::End);
        };
        let (sender, recipients) = (
            self.sender.take().unwrap_or_default(),
            std::mem::take(&mut self.recipients),
        );
        if body.too_large {
            self.reply("552 the message is too large").await?;
            return Ok(Next::Command);
        }
        let fault = self
            .smtp
            .mailbox
            .take_fault(|fault| !matches!(fault, Fault::RefuseRecipient(_)));
        match fault {
            Some(Fault::RefuseMessage(code) | Fault::RefuseRecipient(code)) => {
                self.reply(&refusal(code)).await?;
                return Ok(Next::Command);
            }
            Some(Fault::Close) => return Ok(Next::End),
            Some(Fault::KeepThenClose) | None => (),
        }
        self.smtp.mailbox.keep(Message::read(
            sender,
            recipients,
            body.bytes,
            self.smtp.clock.now(),
        ));
        if fault.is_some() {
            return Ok(Next::End);
        }
        self.reply("250 kept").await?;
        Ok(Next::Command)
    }

    /// Up to the line with only a dot, dots unstuffed (RFC 5321 section 4.5.2). A message that is too large is read to
    /// its end and forgotten. `None` when the stream ends first.
    async fn body(&mut self) -> std::io::Result<Option<Body>> {
        let (mut bytes, mut too_large) = (Vec::new(), false);
        // Only CRLF ends a line here, or a message could smuggle another one in.
        let mut at_line_start = true;
        while let Some(chunk) = self.line(LONGEST_LINE).await? {
            if at_line_start && chunk == b".\r\n" {
                return Ok(Some(Body { bytes, too_large }));
            }
            let stuffed = at_line_start && chunk.starts_with(b".");
            let chunk = if stuffed { &chunk[1..] } else { &chunk[..] };
            at_line_start = chunk.ends_with(b"\r\n");
            too_large |= bytes.len() + chunk.len() > self.smtp.largest_message;
            if !too_large {
                bytes.extend_from_slice(chunk);
            }
        }
        Ok(None)
    }
}

fn refusal(code: u16) -> String {
    if code < 500 {
        format!("{code} try again later")
    } else {
        format!("{code} not accepted")
    }
}

/// `FROM:<address> parameters` without the keyword and the angle brackets.
fn path<'a>(text: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (start, rest) = text.split_at_checked(keyword.len())?;
    let rest = start
        .eq_ignore_ascii_case(keyword)
        .then(|| rest.trim_start())?;
    rest.strip_prefix('<')?.split_once('>')
}
