//! Relations between packages: Debian Policy §7.1, deb-control(5).

use crate::version;
use std::cmp::Ordering;

/// One alternative of a dependency, or one entry of Conflicts, Breaks or Provides: `name:arch (>= version)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Relation<'a> {
    pub(crate) name: &'a str,
    /// What stands after the colon: `any`, `native` or an architecture.
    pub(crate) qualifier: Option<&'a str>,
    pub(crate) limit: Option<Limit<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit<'a> {
    pub(crate) operator: Operator,
    pub(crate) version: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Before,
    UpTo,
    Exactly,
    From,
    After,
    /// Never written; a package of several architectures must not differ between them.
    Not,
}

impl Limit<'_> {
    pub(crate) fn admits(self, version: &str) -> bool {
        let order = version::compare(version, self.version);
        match self.operator {
            Operator::Before => order == Ordering::Less,
            Operator::UpTo => order != Ordering::Greater,
            Operator::Exactly => order == Ordering::Equal,
            Operator::From => order != Ordering::Less,
            Operator::After => order == Ordering::Greater,
            Operator::Not => order != Ordering::Equal,
        }
    }
}

/// The clauses of a field: all must hold. An empty one (a stray comma) is passed over.
pub(crate) fn clauses(field: &str) -> impl Iterator<Item = &str> {
    field.split(',').map(str::trim).filter(|clause| !clause.is_empty())
}

/// The alternatives of a clause: one must hold.
pub(crate) fn alternatives(clause: &str) -> impl Iterator<Item = Relation<'_>> {
    // Clauses are short: a search that is made for long texts costs more than it saves.
    let mut rest = Some(clause);
    let alternatives = std::iter::from_fn(move || {
        let text = rest?;
        let bar = text.bytes().position(|b| b == b'|');
        rest = bar.map(|at| &text[at + 1..]);
        Some(bar.map_or(text, |at| &text[..at]))
    });
    alternatives.filter_map(relation)
}

/// Nothing when there is no name. An operator that is not one counts as no limit; archives are checked for both long
/// before they are published.
fn relation(text: &str) -> Option<Relation<'_>> {
    let (name, rest) = match text.bytes().position(|b| matches!(b, b'(' | b'[' | b'<')) {
        Some(at) => (text[..at].trim(), &text[at..]),
        None => (text.trim(), ""),
    };
    let limit = rest
        .strip_prefix('(')
        .map(|rest| &rest[..rest.bytes().position(|b| b == b')').unwrap_or(rest.len())])
        .and_then(limit);
    let (name, qualifier) = match name.bytes().position(|b| b == b':') {
        Some(at) => (&name[..at], Some(&name[at + 1..])),
        None => (name, None),
    };
    (!name.is_empty()).then_some(Relation { name, qualifier, limit })
}

fn limit(text: &str) -> Option<Limit<'_>> {
    let text = text.trim();
    let end = text.find(|c: char| !"<>=".contains(c))?;
    let operator = match &text[..end] {
        "<<" => Operator::Before,
        // The single signs are an old spelling of "or equal".
        "<=" | "<" => Operator::UpTo,
        "=" => Operator::Exactly,
        ">=" | ">" => Operator::From,
        ">>" => Operator::After,
        _ => return None,
    };
    let version = text[end..].trim();
    (!version.is_empty()).then_some(Limit { operator, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_fall_into_clauses_and_alternatives() {
        let field = "libc6 (>= 2.34), debconf (>= 0.5)  | debconf-2.0,\n python3:any,, foo:i386(<<1:2-3) , old (< 2), bar [amd64] <!nocheck>";
        let shown: Vec<String> = clauses(field)
            .map(|clause| {
                let all: Vec<String> = alternatives(clause)
                    .map(|r| {
                        format!(
                            "{} {:?} {:?}",
                            r.name,
                            r.qualifier,
                            r.limit.map(|l| (l.operator, l.version))
                        )
                    })
                    .collect();
                all.join(" | ")
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        libc6 None Some((From, "2.34"))
        debconf None Some((From, "0.5")) | debconf-2.0 None None
        python3 Some("any") None
        foo Some("i386") Some((Before, "1:2-3"))
        old None Some((UpTo, "2"))
        bar None None
        "#);
    }

    #[test]
    fn limits_admit_what_they_say() {
        let admitted = |operator| -> Vec<&str> {
            let limit = Limit { operator, version: "2" };
            ["1", "2", "2.0~", "3"]
                .into_iter()
                .filter(|v| limit.admits(v))
                .collect()
        };
        assert_eq!(admitted(Operator::Before), ["1"]);
        assert_eq!(admitted(Operator::UpTo), ["1", "2"]);
        assert_eq!(admitted(Operator::Exactly), ["2"]);
        assert_eq!(admitted(Operator::From), ["2", "2.0~", "3"]);
        assert_eq!(admitted(Operator::After), ["2.0~", "3"]);
        assert_eq!(admitted(Operator::Not), ["1", "2.0~", "3"]);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            for clause in clauses(&text) {
                let _ = alternatives(clause).count();
            }
        }
    }
}
