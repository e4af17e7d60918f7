//! `lowtide registry-tags`: which release tags have expired in registries, and what becomes of them.

use super::clean;
use super::style::Style;
use super::table::{Cell, Ink, fitted};
use lowtide_model::name::AppName;
use lowtide_model::policy::RegistryRetention;
use lowtide_model::registry_tag::{Expiry, Held, Verdict};
use lowtide_model::words::counted;
use std::collections::BTreeMap;

/// Each repository with its expired tags, then the apps of which nothing is removed now.
#[must_use]
pub fn registry_tags(
    found: &[Expiry],
    held: &BTreeMap<AppName, Held>,
    policy: &RegistryRetention,
    style: Style,
) -> String {
    let mut text = String::new();
    if found.is_empty() {
        return "lowtide has pushed no release tags yet.\n".to_owned();
    }
    let mut removed = 0;
    for expiry in found {
        let pushed = counted(expiry.pushed, "release tag", "release tags");
        let expired = match &expiry.expired {
            Ok(expired) => expired,
            Err(why) => {
                let why = clean::one_line(why, 300);
                text.push_str(&format!(
                    "{}: {pushed}; not known what it has: {why}\n",
                    expiry.repository
                ));
                continue;
            }
        };
        let count = match expired.len() {
            0 => "none of them has expired".to_owned(),
            n => counted(n, "has expired", "have expired"),
        };
        text.push_str(&format!("{}: {pushed}, {count}\n", expiry.repository));
        let rows = expired.iter().map(|(tag, verdict)| {
            let what = words(verdict, policy);
            let what = if *verdict == Verdict::Remove {
                removed += 1;
                Ink::Warn.cell(what)
            } else {
                Ink::Soft.cell(what)
            };
            [Cell::from(format!("  {}", tag.tag)), tag.app.as_str().into(), what]
        });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            text.push_str(&fitted(&rows, &[(0, 24), (1, 12)], style.width, style.color));
        }
    }
    for (app, held) in held {
        text.push_str(&format!("{app}: nothing is removed {}.\n", while_held(*held)));
    }
    if removed > 0 && !policy.delete {
        text.push_str("Nothing is removed without `retention.registry.delete: true`.\n");
    }
    text
}

fn words(verdict: &Verdict, policy: &RegistryRetention) -> String {
    match verdict {
        Verdict::Remove if policy.delete => "will be removed".to_owned(),
        Verdict::Remove => "would be removed".to_owned(),
        Verdict::Gone => "no longer there".to_owned(),
        Verdict::Moved => "stays: someone else moved it".to_owned(),
        Verdict::Shared { with } => format!("stays: {} points to the same digest", clean::one_line(with, 128)),
        Verdict::Contained => "stays: an index that stays contains it".to_owned(),
        Verdict::Refers => "stays: it refers to an image that stays".to_owned(),
    }
}

fn while_held(held: Held) -> &'static str {
    match held {
        Held::Halted => "while it is halted",
        Held::Rollout => "while a rollout is open",
        Held::Drifted => "while a target does not run its last release",
        Held::Doubtful => "until a rollout ends well: the last one got stuck",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::name::RunId;
    use lowtide_model::registry_tag::PushedTag;
    use ulid::Ulid;

    fn shown(delete: bool) -> String {
        let repository = || "registry.example.org/web".parse().unwrap();
        let tag = |n: u64| PushedTag {
            app: "web".parse().unwrap(),
            repository: repository(),
            run: RunId(Ulid::from_parts(n, 0)),
            tag: format!("2026090{n}.01234567-0123456789ab"),
            digest: format!("sha256:{n:064x}").parse().unwrap(),
        };
        let shared = Verdict::Shared {
            with: "keep".to_owned(),
        };
        let verdicts = [
            Verdict::Remove,
            Verdict::Gone,
            Verdict::Moved,
            shared,
            Verdict::Contained,
            Verdict::Refers,
        ];
        let found = [
            Expiry {
                repository: repository(),
                pushed: 36,
                expired: Ok((1..).map(tag).zip(verdicts).collect()),
            },
            Expiry {
                repository: "prod.example.org/web".parse().unwrap(),
                pushed: 1,
                expired: Ok(Vec::new()),
            },
            Expiry {
                repository: "down.example.org/web".parse().unwrap(),
                pushed: 31,
                expired: Err("the registry down.example.org does not answer".to_owned()),
            },
        ];
        let held = BTreeMap::from([("shop".parse().unwrap(), Held::Halted)]);
        let policy = RegistryRetention {
            keep: 30,
            age: None,
            delete,
        };
        let style = Style {
            color: false,
            width: 120,
        };
        registry_tags(&found, &held, &policy, style)
    }

    #[test]
    fn each_expired_tag_has_its_fate() {
        insta::assert_snapshot!(shown(false), @"
        registry.example.org/web: 36 release tags, 6 have expired
          20260901.01234567-0123456789ab  web  would be removed
          20260902.01234567-0123456789ab  web  no longer there
          20260903.01234567-0123456789ab  web  stays: someone else moved it
          20260904.01234567-0123456789ab  web  stays: keep points to the same digest
          20260905.01234567-0123456789ab  web  stays: an index that stays contains it
          20260906.01234567-0123456789ab  web  stays: it refers to an image that stays
        prod.example.org/web: 1 release tag, none of them has expired
        down.example.org/web: 31 release tags; not known what it has: the registry down.example.org does not answer
        shop: nothing is removed while it is halted.
        Nothing is removed without `retention.registry.delete: true`.
        ");
        assert!(shown(true).contains("will be removed") && !shown(true).contains("Nothing is removed without"));
        let policy = RegistryRetention::default();
        let style = Style {
            color: false,
            width: 120,
        };
        insta::assert_snapshot!(registry_tags(&[], &BTreeMap::new(), &policy, style), @"lowtide has pushed no release tags yet.");
    }
}
