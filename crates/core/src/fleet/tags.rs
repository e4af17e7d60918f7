//! Which tags of a repository a followed app takes, and which of two is newer. A rule is one text:
//! `latest` (this tag alone), `16.*-alpine`, `>=16.2 <17`, `^1.4 v*`, `/^RELEASE\.(.+)Z$/`.

use lowtide_model::image::is_tag;
use regex::Regex;
use std::cmp::Ordering;
use std::fmt;

/// A tag rule that was read.
#[derive(Debug, Clone)]
pub struct Tags {
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    Exact(String),
    Versions {
        shape: Shape,
        bounds: Vec<Bound>,
    },
    /// Anchored at both ends; its groups order the tags.
    Regex(Regex),
}

/// What stands around the version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    prefix: String,
    /// The version begins with these numbers and has at least one more.
    begins: Vec<u64>,
    suffix: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Bound {
    AtLeast(Vec<u64>),
    Above(Vec<u64>),
    AtMost(Vec<u64>),
    Below(Vec<u64>),
}

/// What a tag says of its age. Keys of one rule can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// The rule names one tag.
    Only,
    Version(Vec<u64>),
    Groups(Vec<String>),
}

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTags {
    #[error("it names no tag")]
    Empty,
    #[error("`{0}` cannot be a tag")]
    NoTag(String),
    #[error("`{0}` has more than one `*`")]
    Stars(String),
    #[error("`{0}` cuts a number: `*` stands for whole numbers, as in `16.*`")]
    CutNumber(String),
    #[error("`{0}` is not a bound of versions: an operator and numbers with dots between them, as in `>=16.2`")]
    NoVersion(String),
    #[error("`{0}` is neither a bound of versions, as in `>=16.2`, nor a shape with `*`, as in `16.*`")]
    NoBound(String),
    #[error("`{0}` and `{1}` are two shapes of a tag")]
    Shapes(String, String),
    #[error("no version is in this range")]
    NoRange,
    #[error("`{text}` is not a regular expression: {why}")]
    NoRegex { text: String, why: String },
    #[error("the expression has no group, so nothing says which of two tags is newer")]
    NoGroup,
}

impl Tags {
    /// # Errors
    /// What is wrong with the rule.
    pub fn parse(text: &str) -> Result<Self, BadTags> {
        let text = text.trim();
        let rule = if let Some(inner) = text.strip_prefix('/').and_then(|tail| tail.strip_suffix('/')) {
            regex(inner)?
        } else {
            let terms: Vec<&str> = text
                .split(|c: char| c.is_whitespace() || c == ',')
                .filter(|term| !term.is_empty())
                .collect();
            match terms.as_slice() {
                [] => return Err(BadTags::Empty),
                [one] if !one.contains('*') && !one.starts_with(OPERATORS) => exact(one)?,
                terms => versions(terms)?,
            }
        };
        Ok(Self { rule })
    }

    /// `None`: the rule does not match the tag.
    #[must_use]
    pub fn key(&self, tag: &str) -> Option<Key> {
        match &self.rule {
            Rule::Exact(one) => (one == tag).then_some(Key::Only),
            Rule::Versions { shape, bounds } => {
                let version = shape.version(tag)?;
                let within = bounds.iter().all(|bound| bound.admits(&version));
                within.then_some(Key::Version(version))
            }
            Rule::Regex(regex) => {
                let found = regex.captures(tag)?;
                let group = |n| found.get(n).map_or_else(String::new, |group| group.as_str().to_owned());
                Some(Key::Groups((1..found.len()).map(group).collect()))
            }
        }
    }

    /// The tag, if the rule names just one: no other needs to be listed.
    #[must_use]
    pub fn only(&self) -> Option<&str> {
        match &self.rule {
            Rule::Exact(one) => Some(one),
            Rule::Versions { .. } | Rule::Regex(_) => None,
        }
    }

    /// Those that the rule matches, the newest first.
    pub fn newest<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let matching = tags.into_iter().filter_map(|tag| Some((self.key(tag)?, tag)));
        let mut matching: Vec<(Key, &str)> = matching.collect();
        matching.sort_by(|(one, a), (other, b)| order(other, one).then_with(|| a.cmp(b)));
        matching.into_iter().map(|(_, tag)| tag).collect()
    }
}

/// Compares keys of one rule. Of two equal versions the one that is written out further is the newer: `16.4` moves on, `16.4.1` stays.
#[must_use]
pub fn order(one: &Key, other: &Key) -> Ordering {
    match (one, other) {
        (Key::Version(one), Key::Version(other)) => versions_order(one, other).then(one.len().cmp(&other.len())),
        (Key::Groups(one), Key::Groups(other)) => {
            let pairs = one.iter().zip(other).map(|(one, other)| parts_order(one, other));
            pairs.fold(Ordering::Equal, Ordering::then)
        }
        (Key::Only | Key::Version(_) | Key::Groups(_), _) => Ordering::Equal,
    }
}

/// Is the version in `tag` lower than that in `than`, whatever stands around it? For two tags that no one rule matches: `16.4-alpine` and
/// `15.8`. A tag without a version is not lower than anything.
#[must_use]
pub fn is_lower(tag: &str, than: &str) -> bool {
    let first = |tag: &str| {
        let start = tag.find(|c: char| c.is_ascii_digit())?;
        let tail = &tag[start..];
        let end = tail
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(tail.len());
        numbers(tail[..end].trim_end_matches('.'))
    };
    match (first(tag), first(than)) {
        // A tag with fewer numbers stands for all that begin so: `16` is not lower than `16.4`.
        (Some(one), Some(other)) => {
            let both = one.len().min(other.len());
            one[..both] < other[..both]
        }
        (None, _) | (_, None) => false,
    }
}

const OPERATORS: [char; 5] = ['>', '<', '=', '^', '~'];

fn exact(tag: &str) -> Result<Rule, BadTags> {
    if is_tag(tag) {
        Ok(Rule::Exact(tag.to_owned()))
    } else {
        Err(BadTags::NoTag(tag.to_owned()))
    }
}

fn regex(inner: &str) -> Result<Rule, BadTags> {
    let bad = |error: regex::Error| {
        // The last line says what is wrong, those before it show where.
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default();
        BadTags::NoRegex {
            text: inner.to_owned(),
            why: why.trim_start_matches("error: ").to_owned(),
        }
    };
    // On its own first: what is wrong is said of what is written.
    Regex::new(inner).map_err(bad)?;
    let regex = Regex::new(&format!("^(?:{inner})$")).map_err(bad)?;
    if regex.captures_len() < 2 {
        return Err(BadTags::NoGroup);
    }
    Ok(Rule::Regex(regex))
}

fn versions(terms: &[&str]) -> Result<Rule, BadTags> {
    let mut shape: Option<(&str, Shape)> = None;
    let mut bounds = Vec::new();
    for term in terms {
        if term.starts_with(OPERATORS) {
            bounds.extend(bound(term)?);
            continue;
        }
        if let Some((other, _)) = shape.replace((term, Shape::parse(term)?)) {
            return Err(BadTags::Shapes(other.to_owned(), (*term).to_owned()));
        }
    }
    if is_empty(&bounds) {
        return Err(BadTags::NoRange);
    }
    let shape = shape.map_or_else(Shape::bare, |(_, shape)| shape);
    Ok(Rule::Versions { shape, bounds })
}

/// The meaning of the operators is that of npm and Cargo: `^1.4` is everything before 2, `~1.4` everything before 1.5.
fn bound(term: &str) -> Result<Vec<Bound>, BadTags> {
    let bad = || BadTags::NoVersion(term.to_owned());
    let at = term.find(|c| !OPERATORS.contains(&c)).ok_or_else(bad)?;
    let (operator, version) = term.split_at(at);
    let version = numbers(version).ok_or_else(bad)?;
    Ok(match operator {
        ">=" => vec![Bound::AtLeast(version)],
        ">" => vec![Bound::Above(version)],
        "<=" => vec![Bound::AtMost(version)],
        "<" => vec![Bound::Below(version)],
        "=" => vec![Bound::AtLeast(version.clone()), Bound::AtMost(version)],
        "^" => {
            // The first number that is not zero may not change.
            let fixed = version
                .iter()
                .position(|number| *number > 0)
                .unwrap_or(version.len() - 1);
            vec![Bound::Below(next(&version, fixed)), Bound::AtLeast(version)]
        }
        "~" => {
            let fixed = version.len().min(2) - 1;
            vec![Bound::Below(next(&version, fixed)), Bound::AtLeast(version)]
        }
        _ => return Err(bad()),
    })
}

/// The first version in which the number at `place` is another one.
fn next(version: &[u64], place: usize) -> Vec<u64> {
    let mut next = version[..=place].to_vec();
    if let Some(last) = next.last_mut() {
        *last = last.saturating_add(1);
    }
    next
}

fn is_empty(bounds: &[Bound]) -> bool {
    let lows = bounds.iter().filter_map(|bound| match bound {
        Bound::AtLeast(low) | Bound::Above(low) => Some(low),
        Bound::AtMost(_) | Bound::Below(_) => None,
    });
    lows.into_iter().any(|low| {
        bounds.iter().any(|bound| match bound {
            Bound::Below(high) => versions_order(low, high) != Ordering::Less,
            Bound::AtMost(high) => versions_order(low, high) == Ordering::Greater,
            Bound::AtLeast(_) | Bound::Above(_) => false,
        })
    })
}

/// Longer than any number of a version; more would not be one.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    };
    text.split('.').map(number).collect()
}

/// Missing numbers are zero: `16` and `16.0` are equal.
fn versions_order(one: &[u64], other: &[u64]) -> Ordering {
    let longest = one.len().max(other.len());
    let number = |version: &[u64], at: usize| version.get(at).copied().unwrap_or(0);
    (0..longest)
        .map(|at| number(one, at).cmp(&number(other, at)))
        .fold(Ordering::Equal, Ordering::then)
}

/// As numbers where both are.
fn parts_order(one: &str, other: &str) -> Ordering {
    match (numbers(one), numbers(other)) {
        (Some(one), Some(other)) => versions_order(&one, &other),
        (None, _) | (_, None) => one.cmp(other),
    }
}

impl Bound {
    fn admits(&self, version: &[u64]) -> bool {
        match self {
            Bound::AtLeast(low) => versions_order(version, low) != Ordering::Less,
            Bound::Above(low) => versions_order(version, low) == Ordering::Greater,
            Bound::AtMost(high) => versions_order(version, high) != Ordering::Greater,
            Bound::Below(high) => versions_order(version, high) == Ordering::Less,
        }
    }
}

impl Shape {
    fn bare() -> Self {
        Self {
            prefix: String::new(),
            begins: Vec::new(),
            suffix: String::new(),
        }
    }

    /// `v1.*-alpine`: what is before the numbers, the numbers, what is behind the star.
    fn parse(term: &str) -> Result<Self, BadTags> {
        let Some((front, suffix)) = term.split_once('*') else {
            return Err(BadTags::NoBound(term.to_owned()));
        };
        if suffix.contains('*') {
            return Err(BadTags::Stars(term.to_owned()));
        }
        // A star in the place of each part leaves what could be a tag.
        if !is_tag(&format!("{front}0{suffix}")) {
            return Err(BadTags::NoTag(term.to_owned()));
        }
        if front.ends_with(|c: char| c.is_ascii_digit()) || suffix.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(BadTags::CutNumber(term.to_owned()));
        }
        let (prefix, begins) = match front.strip_suffix('.') {
            None => (front, Vec::new()),
            Some(numbered) => {
                let start = numbered
                    .rfind(|c: char| !c.is_ascii_digit() && c != '.')
                    .map_or(0, |at| at + 1);
                let (prefix, begins) = numbered.split_at(start);
                let begins = numbers(begins).ok_or_else(|| BadTags::CutNumber(term.to_owned()))?;
                (prefix, begins)
            }
        };
        Ok(Self {
            prefix: prefix.to_owned(),
            begins,
            suffix: suffix.to_owned(),
        })
    }

    fn version(&self, tag: &str) -> Option<Vec<u64>> {
        let middle = tag.strip_prefix(&self.prefix)?.strip_suffix(&self.suffix)?;
        let version = numbers(middle)?;
        let begins = version.len() > self.begins.len() && version.starts_with(&self.begins);
        begins.then_some(version)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Only => f.write_str("-"),
            Key::Version(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
                f.write_str(&numbers.join("."))
            }
            Key::Groups(groups) => f.write_str(&groups.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POSTGRES: &[&str] = &[
        "latest",
        "16",
        "16.3",
        "16.4",
        "16.10",
        "16.4-alpine",
        "16.4-alpine3.20",
        "16.10-alpine",
        "17",
        "17.0",
        "17rc1",
        "bookworm",
        "16-bookworm",
        "9.6.24",
        "15.8",
    ];

    fn newest(rule: &str, tags: &[&str]) -> String {
        let tags: Vec<&str> = Tags::parse(rule).unwrap().newest(tags.iter().copied());
        tags.join(" ")
    }

    #[test]
    fn a_rule_takes_the_tags_of_its_shape_the_newest_first() {
        let taken = |rule: &str| format!("{rule:24} [{}]", newest(rule, POSTGRES));
        let rules = [
            "16.*",
            "16.*-alpine",
            "*",
            "16",
            "latest",
            ">=16.4 <17",
            ">=16.4, <=17",
            "^16.3",
            "~16.3",
            "=16.4",
            "^15 *-alpine",
            "9.6.*",
            "/^(\\d+)\\.(\\d+)-alpine$/",
            "18.*",
        ];
        insta::assert_snapshot!(rules.map(taken).join("\n"), @r"
        16.*                     [16.10 16.4 16.3]
        16.*-alpine              [16.10-alpine 16.4-alpine]
        *                        [17.0 17 16.10 16.4 16.3 16 15.8 9.6.24]
        16                       [16]
        latest                   [latest]
        >=16.4 <17               [16.10 16.4]
        >=16.4, <=17             [17.0 17 16.10 16.4]
        ^16.3                    [16.10 16.4 16.3]
        ~16.3                    [16.3]
        =16.4                    [16.4]
        ^15 *-alpine             []
        9.6.*                    [9.6.24]
        /^(\d+)\.(\d+)-alpine$/  [16.10-alpine 16.4-alpine]
        18.*                     []
        ");
    }

    #[test]
    fn shapes_have_prefixes_and_dates() {
        assert_eq!(
            newest("v1.*", &["v1.9.2", "v1.10.0", "1.11.0", "v2.0.0", "v1.10.0-rc.1"]),
            "v1.10.0 v1.9.2"
        );
        assert_eq!(
            newest(
                "bookworm-*-slim",
                &["bookworm-20240904-slim", "bookworm-20250101-slim", "bookworm-slim"]
            ),
            "bookworm-20250101-slim bookworm-20240904-slim"
        );
        let minio = [
            "RELEASE.2024-01-16T16-07-38Z",
            "RELEASE.2023-12-31T00-00-00Z",
            "latest",
            "RELEASE.2024-01-16T16-07-38Z.fips",
        ];
        assert_eq!(
            newest("/RELEASE\\.(.+)Z/", &minio),
            "RELEASE.2024-01-16T16-07-38Z RELEASE.2023-12-31T00-00-00Z"
        );
        // The one that stays where it is comes before the one that moves on.
        assert_eq!(newest("3.*", &["3.13", "3.13.0", "3.12.9"]), "3.13.0 3.13 3.12.9");
    }

    #[test]
    fn a_rule_that_cannot_be_is_refused() {
        let why = |rule: &str| format!("{rule:12} {}", Tags::parse(rule).unwrap_err());
        let rules = [
            "",
            "a b",
            "16.*.*",
            "2024*",
            "*5",
            ">=x",
            "<>1",
            ">",
            ">=17 <16",
            "^1 16.* 17.*",
            "/(/",
            "/16/",
            "-x",
            "a/b",
            "16.x.*",
        ];
        insta::assert_snapshot!(rules.map(why).join("\n"), @"
                     it names no tag
        a b          `a` is neither a bound of versions, as in `>=16.2`, nor a shape with `*`, as in `16.*`
        16.*.*       `16.*.*` has more than one `*`
        2024*        `2024*` cuts a number: `*` stands for whole numbers, as in `16.*`
        *5           `*5` cuts a number: `*` stands for whole numbers, as in `16.*`
        >=x          `>=x` is not a bound of versions: an operator and numbers with dots between them, as in `>=16.2`
        <>1          `<>1` is not a bound of versions: an operator and numbers with dots between them, as in `>=16.2`
        >            `>` is not a bound of versions: an operator and numbers with dots between them, as in `>=16.2`
        >=17 <16     no version is in this range
        ^1 16.* 17.* `16.*` and `17.*` are two shapes of a tag
        /(/          `(` is not a regular expression: unclosed group
        /16/         the expression has no group, so nothing says which of two tags is newer
        -x           `-x` cannot be a tag
        a/b          `a/b` cannot be a tag
        16.x.*       `16.x.*` cuts a number: `*` stands for whole numbers, as in `16.*`
        ");
    }

    #[test]
    fn lower_is_told_by_the_first_version_in_each_tag() {
        for (tag, than) in [
            ("15.8", "16.4-alpine"),
            ("v1.9", "v1.10"),
            ("16.3-bookworm", "16.4"),
            ("15", "16.4"),
        ] {
            assert!(is_lower(tag, than), "{tag} {than}");
            assert!(!is_lower(than, tag), "{than} {tag}");
        }
        for (tag, than) in [
            ("latest", "16.4"),
            ("16.4", "latest"),
            ("16", "16.4"),
            ("16.4-alpine", "16.4"),
        ] {
            assert!(!is_lower(tag, than), "{tag} {than}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}", tag in "[a-z0-9._-]{0,20}") {
            if let Ok(tags) = Tags::parse(&text) {
                let _ = tags.key(&tag);
            }
        }

        #[test]
        fn the_order_is_one(one in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}", other in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}") {
            let tags = Tags::parse("*").unwrap();
            let (one, other) = (tags.key(&one).unwrap(), tags.key(&other).unwrap());
            prop_assert_eq!(order(&one, &other), order(&other, &one).reverse());
        }
    }
}
