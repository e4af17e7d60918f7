//! Debian's order of versions: Debian Policy §5.6.12, deb-version(7).

use std::cmp::Ordering;

/// Which of two versions is newer. Any text has a place: what is no proper version (it happens in third-party
/// archives) is ordered by the same rules, as dpkg and apt do. Nothing is allocated.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let (a, b) = (Parts::of(a.as_bytes()), Parts::of(b.as_bytes()));
    piecewise(a.epoch, b.epoch)
        .then_with(|| piecewise(a.upstream, b.upstream))
        .then_with(|| piecewise(a.revision, b.revision))
}

struct Parts<'a> {
    epoch: &'a [u8],
    upstream: &'a [u8],
    revision: &'a [u8],
}

impl<'a> Parts<'a> {
    /// The epoch ends at the first colon, the revision begins after the last hyphen. Both may be missing and then count
    /// as zero, which is the same as empty: an end of text and a zero are equal in [`piecewise`].
    fn of(version: &'a [u8]) -> Self {
        let (epoch, rest) = match version.iter().position(|b| *b == b':') {
            Some(at) => (&version[..at], &version[at + 1..]),
            None => (&[][..], version),
        };
        let (upstream, revision) = match rest.iter().rposition(|b| *b == b'-') {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &[][..]),
        };
        Self {
            epoch,
            upstream,
            revision,
        }
    }
}

/// Stretches of non-digits and of digits in turn, from the left, until one differs.
fn piecewise(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = split(a, |byte| !byte.is_ascii_digit());
        let (text_b, rest_b) = split(b, |byte| !byte.is_ascii_digit());
        let (number_a, rest_a) = split(rest_a, u8::is_ascii_digit);
        let (number_b, rest_b) = split(rest_b, u8::is_ascii_digit);
        let order = words(text_a, text_b).then_with(|| numbers(number_a, number_b));
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

fn split(text: &[u8], member: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| !member(byte)).unwrap_or(text.len()))
}

fn words(a: &[u8], b: &[u8]) -> Ordering {
    let weights = |text: &[u8], at: usize| text.get(at).map_or(END, |byte| weight(*byte));
    (0..a.len().max(b.len()))
        .map(|at| weights(a, at).cmp(&weights(b, at)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Where a stretch of non-digits ends: after a tilde, before everything else.
const END: u16 = 1;

/// The tilde sorts before the end of a part, letters before all other signs.
fn weight(byte: u8) -> u16 {
    match byte {
        b'~' => 0,
        letter if letter.is_ascii_alphabetic() => END + u16::from(letter),
        other => END + 256 + u16::from(other),
    }
}

/// As numbers of any length; an empty one is zero.
fn numbers(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |text| split(text, |byte| *byte == b'0').1;
    let (a, b) = (significant(a), significant(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_rules_one_by_one() {
        let ascending = [
            // The tilde sorts before the end, and twice before once (Policy's own chain).
            "~~ ~~a ~ a",
            "1.0~beta1~svn1245 1.0~beta1 1.0",
            "1.0~rc1-1 1.0-1 1.0a-1 1.0+b1-1",
            // Numbers are numbers, of any length.
            "1.9 1.10 1.100",
            "9 99999999999999999999999999999999998 99999999999999999999999999999999999",
            // Letters before other signs, the end before both.
            "1 1a 1b 1+ 1.",
            "1.2 1.2a 1.2+a 1.2.1",
            // The epoch goes first, the revision last.
            "9 1:1 2:0.1",
            "1.0-1 1.0-1+b1 1.0-1.1 1.0-2 1.0.1-1",
            "2.36-9+deb12u4 2.36-9+deb12u13",
            // Only the last hyphen begins the revision.
            "1-2-3 1-2-4 1-3-1",
            "1.0 1.0-1",
            "1:1.0-1~bpo12+1 1:1.0-1",
        ];
        for chain in ascending {
            let chain: Vec<&str> = chain.split(' ').collect();
            for (at, a) in chain.iter().enumerate() {
                for (bt, b) in chain.iter().enumerate() {
                    assert_eq!(compare(a, b), at.cmp(&bt), "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn one_version_has_several_spellings() {
        for (a, b) in [
            ("1.0", "0:1.0"),
            ("1.0", "1.0-0"),
            ("1.01", "1.1"),
            ("1.0-00", "1.0"),
            ("a0", "a"),
            ("", "0"),
            ("00:1", "1"),
        ] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
            assert_eq!(compare(b, a), Ordering::Equal, "{b} {a}");
        }
    }

    fn version() -> impl Strategy<Value = String> {
        "([0-9]{1,2}:)?[0-9a-c.+~-]{0,8}(-[0-9a-c.+~]{0,4})?"
    }

    proptest! {
        #[test]
        fn it_is_a_total_order(a in version(), b in version(), c in version()) {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
            if compare(&a, &b).is_eq() {
                prop_assert_eq!(compare(&a, &c), compare(&b, &c));
            }
        }

        #[test]
        fn any_text_has_a_place(a: String, b: String) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        }
    }
}
