//! Mail delivery by SMTP (RFC 5321). One connection per message: a few mails a night need no pool, and every delivery
//! then meets the password and certificates of now.

use super::{secrets, tls};
use jiff::Timestamp;
use lettre::address::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, Message, MultiPart, header};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lowtide_model::failure::Failure;
use lowtide_model::policy::{SmtpSecurity, SmtpServer};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// What production gives the server for each response. RFC 5321 §4.5.3.2 suggests minutes, for relays that talk to
/// relays; our server is our own, and the outbox tries again.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Recipients of one mail; servers must take 100 (RFC 5321 §4.5.3.1.8).
pub const RECIPIENTS: usize = 100;

/// Characters of a server's own words that are kept.
const SERVER_WORDS: usize = 300;

/// How mail is sent. Cheap to make; nothing is opened before a call.
#[derive(Debug, Clone)]
pub struct Smtp {
    server: SmtpServer,
    from: Mailbox,
    timeout: Duration,
}

/// A mail was taken by the server for at least one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Recipients that did not get it.
    pub refused: Vec<Refusal>,
}

/// One recipient the server (or we) would not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub address: String,
    /// Trying this address again cannot help.
    pub permanent: bool,
    pub message: String,
}

#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// No connection, or it broke.
    #[error("the mail server {server} does not answer")]
    Unreachable {
        server: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server may still have taken the mail; the same Message-ID makes a repetition harmless.
    #[error("no answer from the mail server {server} within {seconds} s")]
    Timeout { server: String, seconds: u64 },
    /// No encryption, or a certificate we do not trust.
    #[error("no trusted encryption with the mail server {server}: {message}")]
    Tls { server: String, message: String },
    /// Wrong user or password, or the server wants one.
    #[error("the mail server {server} refuses our credentials: {message}")]
    Denied { server: String, message: String },
    /// The password cannot be read.
    #[error(transparent)]
    Secret(#[from] Failure),
    /// A 4xx response: later, perhaps.
    #[error("the mail server {server} cannot take it now: {message}")]
    Temporary { server: String, message: String },
    /// A 5xx response, or no recipient that could be tried.
    #[error("the mail server {server} refuses it: {message}")]
    Rejected { server: String, message: String },
    /// A response that is not SMTP.
    #[error("the mail server {server} gave an answer that cannot be read: {message}")]
    Unreadable { server: String, message: String },
    /// The configured sender is not an address.
    #[error("{text:?} is not a mail address")]
    Address { text: String },
    /// The mail cannot be put into a message.
    #[error("the mail cannot be written")]
    Unwritable(#[source] lettre::error::Error),
}

/// A mail, ready to be sent. No field but `text` and `html` has a line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// With angle brackets; the same for the same notice, however often it is delivered.
    pub message_id: String,
    /// The first message of the incident, when this is a later one.
    pub in_reply_to: Option<String>,
    pub references: Vec<String>,
    /// RFC 2919, for people's filters.
    pub list_id: String,
    /// Where a person asks not to get such mails (RFC 2369): an address. `None`: nobody may be taken off its list.
    pub unsubscribe: Option<String>,
    /// When the notice was made, not when it is delivered.
    pub date: Timestamp,
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl SmtpError {
    /// Would the same call, later, have a chance by itself?
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            SmtpError::Unreachable { .. }
            | SmtpError::Timeout { .. }
            | SmtpError::Temporary { .. }
            | SmtpError::Unreadable { .. } => true,
            SmtpError::Tls { .. }
            | SmtpError::Denied { .. }
            | SmtpError::Secret(_)
            | SmtpError::Rejected { .. }
            | SmtpError::Address { .. }
            | SmtpError::Unwritable(_) => false,
        }
    }

    /// Whether an operator has to act (settings, credentials, certificates). The mail itself is fine then: keep it, and
    /// retry at a slow pace.
    #[must_use]
    pub fn operator(&self) -> bool {
        match self {
            SmtpError::Tls { .. } | SmtpError::Denied { .. } | SmtpError::Secret(_) | SmtpError::Address { .. } => true,
            SmtpError::Unreachable { .. }
            | SmtpError::Timeout { .. }
            | SmtpError::Temporary { .. }
            | SmtpError::Unreadable { .. }
            | SmtpError::Rejected { .. }
            | SmtpError::Unwritable(_) => false,
        }
    }
}

impl Smtp {
    /// `timeout` bounds the wait for each single answer of the server; production uses [`RESPONSE_TIMEOUT`].
    ///
    /// # Errors
    /// `Address` when the sender is none; `Tls` for a plain connection to anything but loopback.
    pub fn new(server: &SmtpServer, from: &str, timeout: Duration) -> Result<Self, SmtpError> {
        tls::ready();
        let from = from.parse().map_err(|_| SmtpError::Address { text: from.to_owned() })?;
        let server = server.clone();
        if server.security == SmtpSecurity::Plain && !loopback(&server.host) {
            return Err(SmtpError::Tls {
                server: server.host,
                message: "smtp+plain:// is for loopback only".to_owned(),
            });
        }
        Ok(Self { server, from, timeout })
    }

    /// Sends one mail to all recipients in one transaction. Recipients that the server refuses are returned; the others
    /// get the mail.
    ///
    /// # Errors
    /// When nobody got it, or when that is not known (`Unreachable`, `Timeout`).
    pub async fn send(&self, mail: &Mail, to: &[String]) -> Result<Sent, SmtpError> {
        let (recipients, mut refused) = recipients(to);
        if recipients.is_empty() {
            return Err(self.nobody(&refused));
        }
        let message = self.message(mail, &recipients)?;
        let mut connection = self.open().await?;
        let sender = MailFrom::new(Some(self.from.email.clone()), vec![]);
        self.reply(connection.command(sender)).await?;
        let mut taken = 0;
        for recipient in &recipients {
            match self
                .reply(connection.command(Rcpt::new(recipient.email.clone(), vec![])))
                .await
            {
                Ok(()) => taken += 1,
                Err(SmtpError::Rejected { message, .. }) => refused.push(refusal(recipient, true, message)),
                Err(SmtpError::Temporary { message, .. }) => refused.push(refusal(recipient, false, message)),
                Err(other) => return Err(other),
            }
        }
        if taken == 0 {
            self.close(connection).await;
            return Err(self.nobody(&refused));
        }
        self.reply(connection.command(Data)).await?;
        self.reply(connection.message(&message)).await?;
        self.close(connection).await;
        Ok(Sent { refused })
    }

    /// Connects, encrypts and logs in as for a mail, and sends none.
    ///
    /// # Errors
    /// What would keep a mail from being sent.
    pub async fn check(&self) -> Result<(), SmtpError> {
        let connection = self.open().await?;
        self.close(connection).await;
        Ok(())
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let SmtpServer {
            host, port, security, ..
        } = &self.server;
        let hello = ClientId::default();
        let wrapped = match security {
            SmtpSecurity::Tls => Some(self.tls().await?),
            SmtpSecurity::StartTls | SmtpSecurity::Plain => None,
        };
        let address = (host.as_str(), *port);
        let connect = AsyncSmtpConnection::connect_tokio1(address, Some(self.timeout), &hello, wrapped, None);
        let mut connection = self.bounded(connect).await?;
        if *security == SmtpSecurity::StartTls {
            if !connection.can_starttls() {
                return Err(self.no_tls("it does not offer STARTTLS"));
            }
            let parameters = self.tls().await?;
            self.bounded(connection.starttls(parameters, &hello)).await?;
        }
        self.log_in(&mut connection).await?;
        Ok(connection)
    }

    async fn log_in(&self, connection: &mut AsyncSmtpConnection) -> Result<(), SmtpError> {
        let Some(username) = &self.server.username else {
            return Ok(());
        };
        let password = match &self.server.password {
            Some(reference) => secrets::read(reference)?.expose().to_owned(),
            None => String::new(),
        };
        let credentials = Credentials::new(username.clone(), password);
        let denied = |message: &str| SmtpError::Denied {
            server: self.name(),
            message: message.to_owned(),
        };
        if connection
            .server_info()
            .get_auth_mechanism(DEFAULT_MECHANISMS)
            .is_none()
        {
            return Err(denied("it offers no way to log in that we know (PLAIN, LOGIN)"));
        }
        match self.reply(connection.auth(DEFAULT_MECHANISMS, &credentials)).await {
            // The server's words are left out: a strange one may repeat what it was given.
            Err(SmtpError::Rejected { .. }) => Err(denied("user or password is wrong")),
            Err(SmtpError::Temporary { server, .. }) => Err(SmtpError::Temporary {
                server,
                message: "logging in is not possible at the moment".to_owned(),
            }),
            other => other,
        }
    }

    async fn tls(&self) -> Result<TlsParameters, SmtpError> {
        let mut builder = TlsParameters::builder(self.server.host.clone());
        if let Some(path) = &self.server.ca {
            let pem = tokio::fs::read(path)
                .await
                .map_err(|e| self.no_tls(&format!("{}: {e}", path.display())))?;
            let authority =
                Certificate::from_pem(&pem).map_err(|e| self.no_tls(&format!("{}: {e}", path.display())))?;
            builder = builder.add_root_certificate(authority);
        }
        builder.build_rustls().map_err(|e| self.no_tls(&e.to_string()))
    }

    /// QUIT is a courtesy: the mail is delivered without it.
    async fn close(&self, mut connection: AsyncSmtpConnection) {
        let _ = tokio::time::timeout(self.timeout, connection.abort()).await;
    }

    async fn reply<T>(
        &self,
        call: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
    ) -> Result<(), SmtpError> {
        self.bounded(call).await.map(drop)
    }

    async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
    ) -> Result<T, SmtpError> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(outcome) => outcome.map_err(|e| self.classified(e)),
            Err(_) => Err(self.too_slow()),
        }
    }

    fn classified(&self, error: lettre::transport::smtp::Error) -> SmtpError {
        let server = self.name();
        if error.is_timeout() {
            return self.too_slow();
        }
        let message = words(&error);
        // 530 and 538 (RFC 4954 §6): log in first, or only encrypted.
        if error
            .status()
            .is_some_and(|code| matches!(code.to_string().as_str(), "530" | "535" | "538"))
        {
            SmtpError::Denied { server, message }
        } else if error.is_permanent() {
            SmtpError::Rejected { server, message }
        } else if error.is_transient() {
            SmtpError::Temporary { server, message }
        } else if error.is_tls() || certificate(&error) {
            SmtpError::Tls { server, message }
        } else if error.is_response() && !message.contains("incomplete response") {
            SmtpError::Unreadable { server, message }
        } else {
            SmtpError::Unreachable {
                server,
                source: Box::new(error),
            }
        }
    }

    fn message(&self, mail: &Mail, to: &[Mailbox]) -> Result<Vec<u8>, SmtpError> {
        let mut builder = Message::builder()
            .from(self.from.clone())
            .mailbox(header::To::from(to.iter().cloned().collect::<Mailboxes>()))
            .date(SystemTime::from(mail.date))
            .subject(mail.subject.clone())
            .message_id(Some(mail.message_id.clone()))
            .raw_header(raw("List-Id", &mail.list_id))
            // RFC 3834: no out-of-office answers, please; the second is what Exchange knows.
            .raw_header(raw("Auto-Submitted", "auto-generated"))
            .raw_header(raw("X-Auto-Response-Suppress", "All"));
        if let Some(address) = &mail.unsubscribe {
            builder = builder.raw_header(raw(
                "List-Unsubscribe",
                &format!("<mailto:{address}?subject=unsubscribe>"),
            ));
        }
        if let Some(opener) = &mail.in_reply_to {
            builder = builder.in_reply_to(opener.clone());
        }
        if !mail.references.is_empty() {
            builder = builder.references(mail.references.join(" "));
        }
        let body = MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone());
        Ok(builder.multipart(body).map_err(SmtpError::Unwritable)?.formatted())
    }

    fn nobody(&self, refused: &[Refusal]) -> SmtpError {
        let message = refused
            .iter()
            .map(|r| format!("{}: {}", r.address, r.message))
            .collect::<Vec<_>>()
            .join("; ");
        let server = self.name();
        if refused.iter().all(|r| r.permanent) {
            SmtpError::Rejected { server, message }
        } else {
            SmtpError::Temporary { server, message }
        }
    }

    fn no_tls(&self, message: &str) -> SmtpError {
        SmtpError::Tls {
            server: self.name(),
            message: message.to_owned(),
        }
    }

    fn too_slow(&self) -> SmtpError {
        SmtpError::Timeout {
            server: self.name(),
            seconds: self.timeout.as_secs(),
        }
    }

    fn name(&self) -> String {
        format!("{}:{}", self.server.host, self.server.port)
    }
}

/// Addresses that can be tried, and those that cannot.
fn recipients(to: &[String]) -> (Vec<Mailbox>, Vec<Refusal>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for text in to {
        let refuse = |message: &str, permanent| Refusal {
            address: text.clone(),
            permanent,
            message: message.to_owned(),
        };
        match text.parse::<Mailbox>() {
            Err(_) => bad.push(refuse("not a mail address", true)),
            Ok(mailbox) if !AsRef::<str>::as_ref(&mailbox.email).is_ascii() => {
                bad.push(refuse("needs SMTPUTF8, which is not supported", true));
            }
            Ok(_) if good.len() == RECIPIENTS => bad.push(refuse("more recipients than one mail may have", false)),
            Ok(mailbox) => good.push(mailbox),
        }
    }
    (good, bad)
}

fn refusal(recipient: &Mailbox, permanent: bool, message: String) -> Refusal {
    let address: &Address = &recipient.email;
    Refusal {
        address: address.to_string(),
        permanent,
        message,
    }
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// rustls tells of a bad certificate through an I/O error; lettre calls that the network.
fn certificate(error: &lettre::transport::smtp::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let io = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if cause.is::<rustls::Error>() || io.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        source = cause.source();
    }
    false
}

/// One bounded line of the error with its causes.
fn words(error: &lettre::transport::smtp::Error) -> String {
    let line = error.to_string().replace(|c: char| c.is_control(), " ");
    line.chars().take(SERVER_WORDS).collect()
}
