//! What packages and `world` say about each other: apk-world(5), apk-package(5), "Dependency format".

use crate::families::apk::version;
use std::cmp::Ordering;
use std::fmt;

/// One dependency: `name`, `name>=1.2`, `!name`, `name@tag`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::families::apk) struct Relation {
    pub(in crate::families::apk) name: String,
    pub(in crate::families::apk) conflict: bool,
    /// Only in `world`.
    pub(in crate::families::apk) tag: Option<String>,
    pub(in crate::families::apk) limit: Limit,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::families::apk) enum Limit {
    Any,
    Version {
        operator: Operator,
        version: String,
    },
    /// Exactly the package with this checksum.
    Checksum(String),
}

/// Which outcomes of a comparison are admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(in crate::families::apk) struct Operator {
    less: bool,
    equal: bool,
    greater: bool,
    /// A version that begins with the named one counts as equal to it.
    prefix: bool,
}

/// What a package is known as besides its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::families::apk) struct Provided<'a> {
    pub(in crate::families::apk) name: &'a str,
    pub(in crate::families::apk) version: Option<&'a str>,
}

/// The words of a field.
pub(in crate::families::apk) fn words(field: &str) -> impl Iterator<Item = &str> {
    field.split([' ', '\n']).filter(|word| !word.is_empty())
}

/// All of them, or nothing when one of them cannot be understood.
pub(in crate::families::apk) fn relations(field: &str) -> Option<Vec<Relation>> {
    words(field).map(|word| Relation::parse(word, false)).collect()
}

/// What a `p:` field provides; words that cannot be understood are passed over.
pub(in crate::families::apk) fn provided(field: &str) -> impl Iterator<Item = Provided<'_>> {
    words(field).filter_map(|word| {
        let (name, _, version) = split(word)?;
        let version = Some(version).filter(|v| !v.is_empty());
        (!name.is_empty()).then_some(Provided { name, version })
    })
}

impl Relation {
    /// `None`: not a dependency, or one to something that is no version.
    pub(in crate::families::apk) fn parse(word: &str, tagged: bool) -> Option<Self> {
        let (conflict, word) = match word.strip_prefix('!') {
            Some(word) => (true, word),
            None => (false, word),
        };
        let (name, operator, version) = split(word)?;
        let (name, tag) = match name.split_once('@') {
            Some((name, tag)) if tagged => (name, Some(tag.to_owned())),
            Some(_) => return None,
            None => (name, None),
        };
        let limit = match operator {
            None => Limit::Any,
            Some(Operator {
                less: true,
                greater: true,
                equal: false,
                ..
            }) => Limit::Checksum(version.to_owned()),
            Some(_) if !version::is_valid(version) => return None,
            Some(operator) => Limit::Version {
                operator,
                version: version.to_owned(),
            },
        };
        (!name.is_empty()).then(|| Self {
            name: name.to_owned(),
            conflict,
            tag,
            limit,
        })
    }
}

/// Name, operator and version; without an operator no version either.
fn split(word: &str) -> Option<(&str, Option<Operator>, &str)> {
    let sign = |c: char| "<>=~".contains(c);
    let Some(at) = word.find(sign) else {
        return Some((word, None, ""));
    };
    let (name, rest) = word.split_at(at);
    let end = rest.find(|c| !sign(c))?;
    Some((name, Some(Operator::of(&rest[..end])), &rest[end..]))
}

impl Operator {
    fn of(signs: &str) -> Self {
        let prefix = signs.contains('~');
        Self {
            less: signs.contains('<'),
            equal: signs.contains('=') || prefix,
            greater: signs.contains('>'),
            prefix,
        }
    }

    pub(in crate::families::apk) fn admits(self, version: &str, limit: &str) -> bool {
        let order = if self.prefix && version::begins_with(version, limit) {
            Ordering::Equal
        } else {
            version::compare(version, limit)
        };
        match order {
            Ordering::Less => self.less,
            Ordering::Equal => self.equal,
            Ordering::Greater => self.greater,
        }
    }
}

/// As apk shows it.
impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.conflict { "!" } else { "" })?;
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, "@{tag}")?;
        }
        match &self.limit {
            Limit::Any => Ok(()),
            Limit::Checksum(checksum) => write!(f, "><{checksum}"),
            Limit::Version { operator, version } => write!(f, "{operator}{version}"),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.less { "<" } else { "" })?;
        f.write_str(if self.greater { ">" } else { "" })?;
        f.write_str(match (self.prefix, self.equal) {
            (true, _) => "~",
            (false, true) => "=",
            (false, false) => "",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_read_and_shown() {
        for word in [
            "busybox",
            "!uclibc-utils",
            "so:libc.musl-x86_64.so.1",
            "cmd:sh=1.36.1-r29",
            "python3~3.12",
            "foo<~2",
            "foo>~2",
            "foo<2",
            "foo<=2",
            "foo>2",
            "foo>=2",
            "!foo<2",
            "foo><Q12l/v/T0pPK3aQaUWmI9djiLpF+g=",
            ".build-deps=20240101.120000",
            "/bin/sh",
        ] {
            assert_eq!(Relation::parse(word, false).unwrap().to_string(), word);
        }
        let tagged = Relation::parse("foo@edge>1", true).unwrap();
        assert_eq!((tagged.name.as_str(), tagged.tag.as_deref()), ("foo", Some("edge")));
        assert_eq!(tagged.to_string(), "foo@edge>1");
        for bad in ["", "!", "=1", "foo=", "foo=x", "foo@edge", "foo<2xy", "foo=1@edge"] {
            assert_eq!(Relation::parse(bad, false), None, "{bad}");
        }
    }

    #[test]
    fn limits_admit_what_they_say() {
        let admitted = |signs| -> Vec<&str> {
            ["1.9", "2_rc1", "2", "2.1", "2-r1", "3"]
                .into_iter()
                .filter(|v| Operator::of(signs).admits(v, "2"))
                .collect()
        };
        assert_eq!(admitted("<"), ["1.9", "2_rc1"]);
        assert_eq!(admitted("<="), ["1.9", "2_rc1", "2"]);
        assert_eq!(admitted("="), ["2"]);
        assert_eq!(admitted(">="), ["2", "2.1", "2-r1", "3"]);
        assert_eq!(admitted(">"), ["2.1", "2-r1", "3"]);
        assert_eq!(admitted("~"), ["2_rc1", "2", "2.1", "2-r1"]);
        assert_eq!(admitted("<~"), ["1.9", "2_rc1", "2", "2.1", "2-r1"]);
        assert_eq!(admitted(">~"), ["2_rc1", "2", "2.1", "2-r1", "3"]);
    }

    #[test]
    fn a_package_has_other_names() {
        let field = "so:libssl.so.3=3  cmd:openssl=3.1.4-r1 /bin/sh mta\n";
        let found: Vec<String> = provided(field).map(|p| format!("{} {:?}", p.name, p.version)).collect();
        insta::assert_snapshot!(found.join("\n"), @r#"
        so:libssl.so.3 Some("3")
        cmd:openssl Some("3.1.4-r1")
        /bin/sh None
        mta None
        "#);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = relations(&text);
            let _ = Relation::parse(&text, true);
            let _ = provided(&text).count();
        }
    }
}
