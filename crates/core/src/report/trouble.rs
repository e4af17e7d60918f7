//! Problems around the bot, one line each. Anybody may read the lines: they contain no address, path or text from
//! outside.

use super::words::{short_commit, span};
use jiff::Timestamp;
use lowtide_model::trouble::{NoEngine, Trouble};

/// One line, without its end.
#[must_use]
pub fn line(trouble: &Trouble, now: Timestamp) -> String {
    match trouble {
        Trouble::ConfigurationRefused(refused) => format!(
            "the configuration at {} has been refused for {}; the last valid one stays in effect (`lowtide check` shows why)",
            short_commit(&refused.revision),
            span(refused.since, now)
        ),
        Trouble::ConfigurationUnread => {
            "the configuration cannot be read; the last valid one stays in effect".to_owned()
        }
        Trouble::Engine { host, why } => match why {
            NoEngine::Denied => format!(
                "engine {host}: permission denied on its socket; run lowtide with the group of the socket (docker run \
                 --group-add, or SupplementaryGroups= of the service)"
            ),
            NoEngine::NoAnswer => {
                format!("engine {host}: no answer; nothing is built or rolled out there until it is back")
            }
        },
    }
}

/// `first`, then each on a line of its own.
#[must_use]
pub fn notes(first: &str, troubles: &[Trouble], now: Timestamp) -> String {
    let lines = troubles.iter().map(|trouble| format!("note: {}\n", line(trouble, now)));
    std::iter::once(format!("{first}\n")).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use lowtide_model::trouble::RefusedRevision;

    #[test]
    fn every_trouble_there_is() {
        let now: Timestamp = "2026-06-01T02:00:00Z".parse().unwrap();
        let engine = |why| Trouble::Engine {
            host: "build".parse().unwrap(),
            why,
        };
        let refused = RefusedRevision {
            revision: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            since: "2026-06-01T00:00:00Z".parse().unwrap(),
        };
        let all = [
            Trouble::ConfigurationRefused(refused),
            Trouble::ConfigurationUnread,
            engine(NoEngine::Denied),
            engine(NoEngine::NoAnswer),
        ];
        assert_snapshot!(notes("ready", &all, now), @"
        ready
        note: the configuration at 0123456 has been refused for 2 hours; the last valid one stays in effect (`lowtide check` shows why)
        note: the configuration cannot be read; the last valid one stays in effect
        note: engine build: permission denied on its socket; run lowtide with the group of the socket (docker run --group-add, or SupplementaryGroups= of the service)
        note: engine build: no answer; nothing is built or rolled out there until it is back
        ");
        assert_eq!(notes("ok", &[], now), "ok\n");
    }
}
