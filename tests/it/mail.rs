//! Mail to a real SMTP server (aiosmtpd). `LOWTIDE_TEST_PYTHON` names a Python that has it; `openssl` makes certificates.

use crate::support::mail::{PASSWORD, Server, USER};
use lowtide::channels::list::{Address, Notice};
use lowtide::channels::mail::route::Recipient;
use lowtide::clients::smtp::{Mail, Refusal, Smtp, SmtpError};
use lowtide::model::failure::{Failure, FailureKind};
use lowtide::model::message::{Built, Keys, MessageBody};
use lowtide::model::policy::{SmtpSecurity, SmtpServer};
use lowtide::model::run::Stage;
use lowtide::model::secret::SecretRef;
use lowtide::model::stages::resolve::Commit;
use lowtide::report::message_page::Sender;
use lowtide::runtime::channels::mail::render::render;
use serde_json::Value;
use std::time::Duration;

/// Long enough for a busy machine; no test waits for it but those that say so.
const PATIENT: Duration = Duration::from_secs(30);
const IMPATIENT: Duration = Duration::from_millis(300);

trait Policies {
    fn policy(&self, security: SmtpSecurity) -> SmtpServer;
    fn trusted(&self, security: SmtpSecurity, password: &str) -> SmtpServer;
}

impl Policies for Server {
    fn policy(&self, security: SmtpSecurity) -> SmtpServer {
        smtp_server(self.port, security)
    }

    /// With user, password and certificate authority.
    fn trusted(&self, security: SmtpSecurity, password: &str) -> SmtpServer {
        let file = self.folder().join("password");
        std::fs::write(&file, format!("{password}\n")).unwrap();
        let mut policy = self.policy(security);
        policy.username = Some(USER.to_owned());
        policy.password = Some(SecretRef::File(file));
        policy.ca = Some(self.ca());
        policy
    }
}

fn smtp_server(port: u16, security: SmtpSecurity) -> SmtpServer {
    SmtpServer {
        host: "127.0.0.1".to_owned(),
        port,
        security,
        username: None,
        password: None,
        ca: None,
    }
}

fn connect(server: &SmtpServer, timeout: Duration) -> Result<Smtp, SmtpError> {
    Smtp::new(server, "lowtide <lowtide@example.org>", timeout)
}

fn mail(dedup: &str) -> Mail {
    let failure = Failure::new(FailureKind::TestFailed, "1 of 2 tests failed").with_excerpt([
        "Prüfung: „größer“ → kleiner ≠ 🌊".to_owned(),
        // Longer than a line of SMTP may be.
        "x".repeat(3000),
        // A line of one dot ends a message (RFC 5321 §4.5.2).
        ".".to_owned(),
    ]);
    let notice = Notice {
        keys: Keys {
            dedup: dedup.to_owned(),
            thread: "incident".to_owned(),
        },
        address: Address::Mail(Recipient { to: String::new() }),
        at: "2026-11-23T05:12:00Z".parse().unwrap(),
        body: MessageBody::RunFailed {
            app: "archives".parse().unwrap(),
            run: "01JDCS4Z00ABCDEFGHJKMNPQRS".parse().unwrap(),
            stage: Stage::Test,
            commit: Some(Box::new(Built {
                commit: Commit {
                    id: "3f2a9c1d0e".repeat(4),
                    subject: "Prüfe größer".to_owned(),
                    author: "Zoë".to_owned(),
                    time: "2026-11-23T05:00:00Z".parse().unwrap(),
                },
                link: None,
            })),
            failure,
            first: "01JDCS4Z00ABCDEFGHJKMNPQRS".parse().unwrap(),
            since: "2026-11-23T05:12:00Z".parse().unwrap(),
            commit_to_blame: false,
        },
    };
    let sender = Sender {
        instance: "harbour".to_owned(),
        timezone: "UTC".to_owned(),
        public_url: None,
    };
    render(&notice, &sender, "example.org")
}

fn to(addresses: &[&str]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

async fn send(policy: &SmtpServer, timeout: Duration) -> Result<(), SmtpError> {
    let smtp = connect(policy, timeout)?;
    smtp.send(&mail("incident"), &to(&["dev@example.org"]))
        .await
        .map(|sent| assert_eq!(sent.refused, []))
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written() {
    let server = Server::start("ok");
    let smtp = connect(&server.policy(SmtpSecurity::Plain), PATIENT).unwrap();
    let first = mail("incident");
    let sent = smtp
        .send(&first, &to(&["dev@example.org", "Ops <ops@example.org>"]))
        .await
        .unwrap();
    assert_eq!(sent.refused, []);
    let stored = server.stored();
    let [got] = stored.as_slice() else { panic!("{stored:?}") };
    assert_eq!(got["from"], "lowtide@example.org");
    assert_eq!(got["to"], serde_json::json!(["dev@example.org", "ops@example.org"]));
    assert_eq!(got["type"], "multipart/alternative");
    let text = got["parts"]["text/plain"].as_str().unwrap().replace("\r\n", "\n");
    assert_eq!(text.trim_end(), first.text.trim_end());
    assert!(text.contains("größer“ → kleiner ≠ 🌊"));
    let html = got["parts"]["text/html"].as_str().unwrap().replace("\r\n", "\n");
    assert_eq!(html.trim_end(), first.html.trim_end());
    let header = |name: &str| got["headers"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(header("message-id"), first.message_id);
    assert_eq!(
        header("subject"),
        "[lowtide] archives: tests failed at 3f2a9c1 (1 failing)"
    );
    assert_eq!(header("auto-submitted"), "auto-generated");
    assert_eq!(header("list-id"), "lowtide <harbour.lowtide.example.org>");
    assert_eq!(header("date"), "Mon, 23 Nov 2026 05:12:00 +0000");
    assert_eq!(header("to"), "dev@example.org, Ops <ops@example.org>");
    assert_eq!(header("in-reply-to"), "");
}

#[tokio::test]
async fn a_repeated_delivery_is_the_same_message_and_a_later_one_refers_to_it() {
    let server = Server::start("ok");
    let smtp = connect(&server.policy(SmtpSecurity::Plain), PATIENT).unwrap();
    for dedup in ["incident", "incident", "incident/recovered"] {
        smtp.send(&mail(dedup), &to(&["dev@example.org"])).await.unwrap();
    }
    let stored = server.stored();
    let header = |n: usize, name: &str| stored[n]["headers"][name].clone();
    assert_eq!(header(0, "message-id"), header(1, "message-id"));
    assert_eq!(header(0, "date"), header(1, "date"));
    assert_ne!(header(0, "message-id"), header(2, "message-id"));
    assert_eq!(header(2, "in-reply-to"), header(0, "message-id"));
    assert_eq!(header(2, "references"), header(0, "message-id"));
}

#[tokio::test]
async fn starttls_and_tls_with_a_login() {
    for (mode, security) in [("starttls", SmtpSecurity::StartTls), ("tls", SmtpSecurity::Tls)] {
        let server = Server::start(mode);
        let policy = server.trusted(security, PASSWORD);
        connect(&policy, PATIENT).unwrap().check().await.unwrap();
        assert_eq!(server.stored(), Vec::<Value>::new(), "a check sends nothing");
        send(&policy, PATIENT).await.unwrap();
        let stored = server.stored();
        assert_eq!(
            (&stored[0]["tls"], &stored[0]["user"]),
            (&true.into(), &"bot".into()),
            "{mode}"
        );
    }
}

#[tokio::test]
async fn a_wrong_password_is_denied_and_not_repeated_in_words() {
    let server = Server::start("starttls");
    let wrong = "not-the-password";
    let error = send(&server.trusted(SmtpSecurity::StartTls, wrong), PATIENT)
        .await
        .unwrap_err();
    assert!(matches!(error, SmtpError::Denied { .. }), "{error:?}");
    assert!(!error.retryable() && error.operator());
    assert!(!format!("{error:?} {error}").contains(wrong));
    let mut silent = server.trusted(SmtpSecurity::StartTls, PASSWORD);
    silent.username = None;
    let error = send(&silent, PATIENT).await.unwrap_err();
    assert!(
        matches!(error, SmtpError::Denied { .. }),
        "the server wants a login: {error:?}"
    );
    let mut unset = server.trusted(SmtpSecurity::StartTls, PASSWORD);
    unset.password = Some(SecretRef::File(server.folder().join("missing")));
    let error = send(&unset, PATIENT).await.unwrap_err();
    assert!(matches!(error, SmtpError::Secret(_)), "{error:?}");
    assert_eq!(server.stored(), Vec::<Value>::new());
}

#[tokio::test]
async fn no_encryption_no_mail() {
    let server = Server::start("starttls");
    let mut strange = server.trusted(SmtpSecurity::StartTls, PASSWORD);
    strange.ca = None;
    let error = send(&strange, PATIENT).await.unwrap_err();
    assert!(
        matches!(error, SmtpError::Tls { .. }) && error.operator(),
        "unknown authority: {error:?}"
    );
    let plain = Server::start("ok");
    let error = send(&plain.policy(SmtpSecurity::StartTls), PATIENT).await.unwrap_err();
    assert!(matches!(error, SmtpError::Tls { .. }), "no STARTTLS offered: {error:?}");
    assert_eq!(plain.stored(), Vec::<Value>::new());
    let mut far = smtp_server(25, SmtpSecurity::Plain);
    far.host = "mail.example.org".to_owned();
    assert!(
        matches!(connect(&far, PATIENT), Err(SmtpError::Tls { .. })),
        "plain text leaves the machine"
    );
}

#[tokio::test]
async fn a_server_that_is_down_or_rude_is_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = listener.local_addr().unwrap().port();
    drop(listener);
    let error = send(&smtp_server(dead, SmtpSecurity::Plain), PATIENT)
        .await
        .unwrap_err();
    assert!(
        matches!(error, SmtpError::Unreachable { .. }) && error.retryable(),
        "{error:?}"
    );
    let server = Server::start("drop");
    let error = send(&server.policy(SmtpSecurity::Plain), PATIENT).await.unwrap_err();
    assert!(
        matches!(error, SmtpError::Unreachable { .. }) && error.retryable(),
        "{error:?}"
    );
    let server = Server::start("nonsense");
    let error = send(&server.policy(SmtpSecurity::Plain), PATIENT).await.unwrap_err();
    assert!(
        matches!(error, SmtpError::Unreadable { .. }) && error.retryable(),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_hangs_does_not_hold_us() {
    for mode in ["hang", "hang-at-end"] {
        let server = Server::start(mode);
        let error = send(&server.policy(SmtpSecurity::Plain), IMPATIENT).await.unwrap_err();
        assert!(
            matches!(error, SmtpError::Timeout { .. }) && error.retryable(),
            "{mode}: {error:?}"
        );
    }
}

#[tokio::test]
async fn later_and_never_are_different_responses() {
    let server = Server::start("temporary");
    let error = send(&server.policy(SmtpSecurity::Plain), PATIENT).await.unwrap_err();
    assert!(
        matches!(error, SmtpError::Temporary { .. }) && error.retryable(),
        "{error:?}"
    );
    let server = Server::start("permanent");
    let error = send(&server.policy(SmtpSecurity::Plain), PATIENT).await.unwrap_err();
    assert!(
        matches!(error, SmtpError::Rejected { .. }) && !error.retryable(),
        "{error:?}"
    );
    assert!(error.to_string().contains("we do not like this message"), "{error}");
}

#[tokio::test]
async fn one_dead_address_does_not_silence_the_others() {
    let server = Server::start("ok");
    let smtp = connect(&server.policy(SmtpSecurity::Plain), PATIENT).unwrap();
    let everybody = to(&["gone@example.org", "dev@example.org", "later@example.org", "no address"]);
    let mut refused = smtp.send(&mail("incident"), &everybody).await.unwrap().refused;
    refused.sort_by(|a, b| a.address.cmp(&b.address));
    let shown: Vec<_> = refused
        .iter()
        .map(|r: &Refusal| (r.address.as_str(), r.permanent))
        .collect();
    assert_eq!(
        shown,
        [
            ("gone@example.org", true),
            ("later@example.org", false),
            ("no address", true)
        ]
    );
    assert_eq!(server.stored()[0]["to"], serde_json::json!(["dev@example.org"]));
    let error = smtp
        .send(&mail("incident"), &to(&["gone@example.org", "no address"]))
        .await
        .unwrap_err();
    assert!(matches!(error, SmtpError::Rejected { .. }), "{error:?}");
    let error = smtp
        .send(&mail("incident"), &to(&["gone@example.org", "later@example.org"]))
        .await
        .unwrap_err();
    assert!(matches!(error, SmtpError::Temporary { .. }), "{error:?}");
}
