//! apk's order of versions: apk-package(5), "Version", and apk-tools 3, whose published test data the table of the tests
//! follows. apk-tools 2 differs in corners: numbers with a leading zero, and prefixes.

use std::cmp::Ordering;

/// Which of two versions is newer. Any text has a place: two that are no versions are compared up to where they stop being
/// ones, so that different texts can be equal; among proper versions the order is total.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    parts(a).cmp(&parts(b))
}

/// Whether `text` is a version at all.
#[must_use]
pub fn is_valid(text: &str) -> bool {
    parts(text).last() == Some(&Part::End)
}

/// Whether `version` is `prefix` or goes on from it: `1.2` is a prefix of `1.2.3`, `1.2_rc1` and `1.2-r4`, not of `1.20`.
#[must_use]
pub fn begins_with(version: &str, prefix: &str) -> bool {
    match parts(prefix).as_slice() {
        [said @ .., Part::End] => parts(version).starts_with(said),
        said => parts(version) == said,
    }
}

/// A piece of a version. The variants stand in the order in which they sort against each other at the same place: what ends
/// there is newer than a pre-release and older than all that goes on otherwise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    /// `_alpha`, `_beta`, `_pre`, `_rc`.
    Before(u8),
    /// Here the text stops being a version.
    Nonsense,
    End,
    /// `-r1`
    Revision(Number<'a>),
    /// `~1a2b3c`
    Commit(&'a str),
    SuffixNumber(Number<'a>),
    /// `_cvs`, `_svn`, `_git`, `_hg`, `_p`.
    After(u8),
    Letter(u8),
    /// After a dot, as decimals: a leading zero makes it smaller than any number without one.
    Decimals(&'a str),
    Component(Number<'a>),
}

/// Of any length: how many digits there are besides leading zeros, and these.
type Number<'a> = (usize, &'a str);

const BEFORE: [&str; 4] = ["alpha", "beta", "pre", "rc"];
const AFTER: [&str; 5] = ["cvs", "svn", "git", "hg", "p"];

fn parts(text: &str) -> Vec<Part<'_>> {
    let (first, mut rest) = digits(text);
    if first.is_empty() {
        return vec![Part::Nonsense];
    }
    let mut found = vec![Part::Component(number(first))];
    while let Some((part, after)) = found.last().and_then(|last| next(last, rest)) {
        found.push(part);
        rest = after;
    }
    found.push(if rest.is_empty() { Part::End } else { Part::Nonsense });
    found
}

/// The piece at the start of `rest`, when one of its kind may follow `last`.
fn next<'a>(last: &Part<'_>, rest: &'a str) -> Option<(Part<'a>, &'a str)> {
    let numbers = matches!(last, Part::Component(_) | Part::Decimals(_));
    let suffix = matches!(last, Part::Before(_) | Part::After(_));
    let sign = *rest.as_bytes().first()?;
    let tail = || rest.get(1..).unwrap_or_default();
    match sign {
        b'.' if numbers => {
            let (said, rest) = digits(tail());
            let part = match said.as_bytes().first()? {
                b'0' => Part::Decimals(said),
                _ => Part::Component(number(said)),
            };
            Some((part, rest))
        }
        b'a'..=b'z' if numbers => Some((Part::Letter(sign), tail())),
        b'0'..=b'9' if suffix => {
            let (said, rest) = digits(rest);
            Some((Part::SuffixNumber(number(said)), rest))
        }
        b'_' if !matches!(last, Part::Commit(_) | Part::Revision(_)) => {
            let (word, rest) = split(tail(), |byte| byte.is_ascii_lowercase());
            let place = |words: &[&str]| {
                words
                    .iter()
                    .position(|w| *w == word)
                    .and_then(|at| u8::try_from(at).ok())
            };
            let before = place(&BEFORE).map(Part::Before);
            Some((before.or_else(|| place(&AFTER).map(Part::After))?, rest))
        }
        b'~' if !matches!(last, Part::Commit(_) | Part::Revision(_)) => {
            let (hash, rest) = split(tail(), |byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            (!hash.is_empty()).then_some((Part::Commit(hash), rest))
        }
        b'-' if !matches!(last, Part::Revision(_)) => {
            let (said, rest) = digits(rest.strip_prefix("-r")?);
            (!said.is_empty()).then_some((Part::Revision(number(said)), rest))
        }
        _ => None,
    }
}

fn number(digits: &str) -> Number<'_> {
    let significant = digits.trim_start_matches('0');
    (significant.len(), significant)
}

fn digits(text: &str) -> (&str, &str) {
    split(text, |byte| byte.is_ascii_digit())
}

fn split(text: &str, member: impl Fn(u8) -> bool) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !member(byte)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pairs and chains from apk-tools' published test data, arranged by rule.
    #[test]
    fn the_rules_one_by_one() {
        let ascending = [
            // Numbers are numbers, of any length.
            "0.9.9 0.9.12 1.0.0 1.0.1 1.1 1.2.1 10-r1 20050405",
            "3.0.3-r9 4.2.52_p2-r1 4.2.52_p4-r2",
            "2.34 20050718-r1 20050718-r2 99999999999999999999999",
            // More numbers are newer than fewer, whatever the revision says.
            "1.3-r0 1.3.1-r0",
            "22.7 22.7-r1 22.7.3-r1",
            "1.2.12.04 1.2.12.05 1.2.12.5",
            // A leading zero after a dot makes decimals.
            "8.2.0 8.2.001 8.2.0015 8.2.002 8.2.01 8.2.1",
            "0.01 0.06 0.6",
            "1.02.07 1.02.10-r1 1.07-r1 1.07.5 1.1",
            // In front it does not.
            "1.0.0 006 013 014-r1 15",
            // Suffixes: four before the version, five after it, each with or without a number.
            "1.0_alpha 1.0_alpha2 1.0_beta 1.0_pre 1.0_rc 1.0 1.0_cvs 1.0_svn 1.0_git 1.0_hg 1.0_p",
            "0.1.0_alpha_pre2 0.1.0_alpha 0.1.0_alpha2 0.1.3_alpha",
            "0.13_beta1 0.13_beta5 0.13",
            "1.3_pre1-r1 1.3-r0 1.3.2",
            "1.0.0_pre20191002222144-r0 1.0.0_pre20210530193627-r0",
            "6.0_pre1 6.0 6.0_p1 6.1_pre1 6.1 6.1_p1",
            "1.0_p9-r0 1.0_p10-r0",
            "4.5_p1 4.5_p1-r1 4.5_p1-r5",
            // One letter, after the numbers.
            "0.9.8c-r1 0.9.8d",
            "1.7 1.7b 1.8",
            "2.3.0b-r1 2.3.0b-r2 2.3.0b-r10",
            // Commits are compared as text, before the revision.
            "1.0 1.0~1234 1.0~1234-r0 1.0~1234-r1 1.0~2345-r0 1.0~2345-r1",
            "1.0-r3 1.0~12",
            // What is no version sorts before where it would go on.
            "23_foo 23 23_p1",
            "1.0 1.0bc 1.0b",
            "4_beta 23_foo",
        ];
        for chain in ascending {
            let chain: Vec<&str> = chain.split(' ').collect();
            for (at, a) in chain.iter().enumerate() {
                for (bt, b) in chain.iter().enumerate() {
                    assert_eq!(compare(a, b), at.cmp(&bt), "{a} {b}");
                }
            }
        }
        assert_eq!(compare("006.1", "6.1"), Ordering::Equal);
        assert_eq!(compare("1.0-r01", "1.0-r1"), Ordering::Equal);
        assert_eq!(compare("1.0_foo", "1.0+dfsg"), Ordering::Equal);
    }

    #[test]
    fn versions_and_what_is_none() {
        for good in "1.2 0.1_pre2 0.1_pre2~1234abcd 0.1_p1_pre2 0.1_alpha1_pre2 0.1_git20240101_pre1 2b-r3".split(' ') {
            assert!(is_valid(good), "{good}");
        }
        let bad = "0.1bc 0.1bc1 0.1a1 0.1a.1 0.1_pre2~ 0.1_pre2~1234xbcd 0.1_pre2~1234abcd_pre1 0.1_pre2-r1~1234xbcd \
            0.1_foobar 0.1_foobar1 0.1-pre1.1 0.1-r 0.1-r2_pre1 0.1-r2_p3_pre1 0.1-r2-r3 0.1-r2.1 .1 a _pre1 -r1 0.1_ 0.1_-r0 \
            0.1__alpha 0.1_1_alpha 1. 1..2 1:2 1.0~12~34 1ä";
        for bad in bad.split_whitespace().chain(["", " "]) {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn prefixes_end_where_parts_end() {
        for (version, prefix, expected) in [
            ("3.6.0", "3.6", true),
            ("3.6.9", "3.6", true),
            ("3.6_pre1", "3.6", true),
            ("3.6.0_pre1", "3.6", true),
            ("3.6.9_post1", "3.6", true),
            ("3.6.0", "3.6.0", true),
            ("3.6-r7", "3.6", true),
            ("3.60", "3.6", false),
            ("3.6.0", "3.8", false),
            ("3.8", "3.8.1", false),
            ("3.8.0.1", "3.8.1", false),
            ("3.6.0_pre1", "3.8", false),
        ] {
            assert_eq!(begins_with(version, prefix), expected, "{version} {prefix}");
        }
    }

    fn version() -> impl Strategy<Value = String> {
        "[0-9]{1,2}(\\.[0-9]{1,3}){0,3}[ab]?(_(alpha|beta|pre|rc|cvs|git|p)[0-9]{0,2}){0,2}(~[0-9a]{1,3})?(-r[0-9]{1,2})?"
    }

    proptest! {
        #[test]
        fn versions_have_a_total_order(a in version(), b in version(), c in version()) {
            prop_assert!(is_valid(&a));
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
            if compare(&a, &b).is_eq() {
                prop_assert_eq!(compare(&a, &c), compare(&b, &c));
            }
            prop_assert!(begins_with(&a, &a));
        }

        #[test]
        fn any_text_has_a_place(a: String, b: String) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            let _ = begins_with(&a, &b);
        }
    }
}
