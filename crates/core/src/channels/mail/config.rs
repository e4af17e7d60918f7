//! `notify.email` becomes a policy.

use super::keys::Email;
use super::policy::MailPolicy;
use crate::channels::channel::Configured;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::scope::{Origin, Scope};
use crate::yaml::url::{credentials, host_port, is_loopback};
use lowtide_model::defaults;
use lowtide_model::policy::{SmtpSecurity, SmtpServer};
use std::path::PathBuf;

impl Configured for MailPolicy {
    fn read(check: &mut Check<'_>, raw: &Email) -> Option<Self> {
        let top = &Scope::new(vec![(Origin::Fleet, Route::default())]);
        let base = Route::keys("notify.email");
        let scope = Scope::new(vec![(Origin::Fleet, base.clone())]);
        let password = check.secret(top, &base.key("password"), raw.password.as_ref());
        check.both(top, &base, raw.username.is_some(), raw.password.is_some());
        let operators = check.addresses(top, &base.key("operators"), raw.operators.as_ref());
        if operators.is_empty() {
            check.missing(
                &scope,
                &Route::keys("operators"),
                "name who gets mail when lowtide itself has a problem: `operators: [ops@example.org]`",
            );
        }
        match &raw.from {
            Some(from) => check.address(top, &base.key("from"), &from.0),
            None => check.missing(&scope, &Route::keys("from"), "write `from: lowtide@example.org`"),
        }
        let daily_report = raw
            .daily_report
            .as_ref()
            .and_then(|text| check.time(top, &base.key("daily_report"), &text.0));
        let Some(smtp) = &raw.smtp else {
            check.missing(&scope, &Route::keys("smtp"), "write `smtp: smtps://mail.example.org`");
            return None;
        };
        let (host, port, security) = server(check, top, &base.key("smtp"), &smtp.0);
        let username = raw.username.as_ref().map(|text| text.0.clone());
        let ca = raw.ca.as_ref().map(|text| PathBuf::from(&text.0));
        if ca.as_ref().is_some_and(|path| !path.is_absolute()) {
            let problem = Problem::new("bad-path", "`notify.email.ca` is not an absolute path");
            check.report(
                top,
                &base.key("ca"),
                problem.hint("write it like `/etc/ssl/private-ca.pem`"),
            );
        }
        Some(Self {
            smtp: SmtpServer {
                host,
                port,
                security,
                username,
                password,
                ca,
            },
            from: raw.from.as_ref()?.0.clone(),
            operators,
            daily_report: daily_report.unwrap_or(defaults::DAILY_REPORT),
            rolled_out: raw.rolled_out.unwrap_or_default(),
        })
    }
}

/// (host, port, security) of a mail server.
fn server(check: &mut Check<'_>, scope: &Scope, rest: &Route, text: &str) -> (String, u16, SmtpSecurity) {
    let hint = "write `smtps://host` (TLS), `smtp://host` (STARTTLS) or `smtp+plain://localhost`; a port may follow";
    let nothing = (String::new(), 0, SmtpSecurity::Tls);
    let (scheme, tail) = text.split_once("://").unwrap_or(("", text));
    let (security, default_port) = match scheme {
        "smtps" => (SmtpSecurity::Tls, 465),
        "smtp" => (SmtpSecurity::StartTls, 587),
        "smtp+plain" => (SmtpSecurity::Plain, 25),
        _ => {
            check.report(
                scope,
                rest,
                Problem::new("bad-url", "this is not the address of a mail server").hint(hint),
            );
            return nothing;
        }
    };
    if tail.contains('@') {
        check.report(
            scope,
            rest,
            credentials().hint("use `username` and `password` beside it"),
        );
        return nothing;
    }
    let Some((host, port)) = host_port(tail.trim_end_matches('/')) else {
        let problem = Problem::new("bad-url", format!("`{}` is not a host, or host and port", shown(tail)));
        check.report(scope, rest, problem.hint(hint));
        return nothing;
    };
    if security == SmtpSecurity::Plain && !is_loopback(&host) {
        let problem = Problem::new(
            "plain-text",
            format!(
                "`{}` is not this machine, and smtp+plain does not encrypt",
                shown(&host)
            ),
        );
        check.report(scope, rest, problem.hint("use `smtps://` or `smtp://`"));
    }
    (host, port.unwrap_or(default_port), security)
}
