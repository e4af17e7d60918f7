//! apt_preferences(5): pins and what they match.

use super::pattern::Pattern;
use crate::deb822::{Stanza, Stanzas};
use crate::error::{ParseError, Problem};

/// One pin: what it speaks of, which versions it means, and how much it wants them.
#[derive(Debug, Clone)]
pub(crate) struct Pin {
    /// Nothing for `Package: *`, the general form.
    pub(crate) package: Option<PackageSpec>,
    pub(crate) criterion: Criterion,
    pub(crate) priority: PinPriority,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PinPriority {
    /// Versions are never taken from there, not even by name.
    Never,
    Of(i16),
}

/// `name`, `name:arch`, `src:name`, or a pattern in place of the name.
#[derive(Debug, Clone)]
pub(crate) struct PackageSpec {
    pub(crate) source: bool,
    name: Name,
    /// Without one, only packages of the native architecture are meant.
    pub(crate) architecture: Option<String>,
}

#[derive(Debug, Clone)]
enum Name {
    Plain(String),
    Wild(Pattern),
}

#[derive(Debug, Clone)]
pub(crate) enum Criterion {
    Version(Glimpse),
    SourceVersion(Glimpse),
    /// Every release.
    AnyRelease,
    Release(Vec<(ReleaseField, Glimpse)>),
    /// Host of the archive; empty for files of this machine.
    Origin(Pattern),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReleaseField {
    /// Suite or codename: the short form without `x=`.
    Named,
    Archive,
    Codename,
    Version,
    Origin,
    Label,
    Component,
    Architecture,
}

/// A value to match: as a pattern, and where the manual says so as a beginning.
#[derive(Debug, Clone)]
pub(crate) struct Glimpse {
    text: String,
    pattern: Pattern,
}

impl Glimpse {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            pattern: Pattern::new(text),
        }
    }

    pub(crate) fn matches(&self, value: Option<&str>) -> bool {
        value.is_some_and(|value| self.pattern.matches(value))
    }

    /// As [`Self::matches`], and `1.2*` is a beginning even where it holds signs that globs know.
    pub(crate) fn matches_version(&self, value: Option<&str>) -> bool {
        let begins = |value: &str| match self.text.strip_suffix('*') {
            Some(start) => value
                .get(..start.len())
                .is_some_and(|have| have.eq_ignore_ascii_case(start)),
            None => value.eq_ignore_ascii_case(&self.text),
        };
        value.is_some_and(begins) || self.matches(value)
    }
}

impl PackageSpec {
    fn new(text: &str) -> Self {
        let (source, text) = match text.strip_prefix("src:") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (name, architecture) = match text.rsplit_once(':') {
            Some((name, architecture)) => (name, Some(architecture.to_owned())),
            None => (text, None),
        };
        let name = if Pattern::is_wild(name) {
            Name::Wild(Pattern::new(name))
        } else {
            Name::Plain(name.to_owned())
        };
        Self {
            source,
            name,
            architecture,
        }
    }

    pub(crate) fn names(&self, name: &str) -> bool {
        match &self.name {
            Name::Plain(plain) => plain == name,
            Name::Wild(pattern) => pattern.matches(name),
        }
    }
}

/// Reads `/etc/apt/preferences` or a file of `preferences.d`.
///
/// # Errors
/// What makes apt refuse the file: no `Package`, or a priority that is none.
pub(crate) fn parse(text: &[u8], file: &str) -> Result<Vec<Pin>, ParseError> {
    let mut pins = Vec::new();
    let mut stanzas = Stanzas::new(text, file).with_comments();
    while let Some(stanza) = stanzas.next_stanza()? {
        pins.extend(pins_of(stanza, file)?);
    }
    Ok(pins)
}

fn pins_of(stanza: Stanza<'_>, file: &str) -> Result<Vec<Pin>, ParseError> {
    let packages = stanza.needed(file, "Package")?;
    let Some(pin) = stanza.get("Pin") else {
        return Ok(Vec::new());
    };
    let (kind, data) = pin.split_once(char::is_whitespace).unwrap_or((pin, ""));
    // A kind that apt does not know is warned of and passed over.
    let Some(criterion) = criterion(kind, data.trim()) else {
        return Ok(Vec::new());
    };
    let general = packages == "*";
    if general && matches!(criterion, Criterion::Version(_) | Criterion::SourceVersion(_)) {
        return Ok(Vec::new());
    }
    let bad = || ParseError::new(file, stanza.end, Problem::BadValue("Pin-Priority"));
    let priority = match stanza.get("Pin-Priority").unwrap_or_default() {
        "never" if general => PinPriority::Never,
        value => PinPriority::Of(value.parse().ok().filter(|p| *p != 0).ok_or_else(bad)?),
    };
    let pin = |package| Pin {
        package,
        criterion: criterion.clone(),
        priority,
    };
    if general {
        return Ok(vec![pin(None)]);
    }
    let names = packages.split_whitespace();
    Ok(names.map(|name| pin(Some(PackageSpec::new(name)))).collect())
}

/// The pin that `APT::Default-Release` amounts to: apt_preferences(5), "target release".
pub(crate) fn target_release(release: &str) -> Pin {
    Pin {
        package: None,
        criterion: release_criterion(release),
        priority: PinPriority::Of(990),
    }
}

fn criterion(kind: &str, data: &str) -> Option<Criterion> {
    match kind.to_ascii_lowercase().as_str() {
        "version" => Some(Criterion::Version(Glimpse::new(data))),
        "source-version" => Some(Criterion::SourceVersion(Glimpse::new(data))),
        "release" => Some(release_criterion(data)),
        "origin" => {
            let quoted = data.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            Some(Criterion::Origin(Pattern::new(quoted.unwrap_or(data))))
        }
        _ => None,
    }
}

fn release_criterion(data: &str) -> Criterion {
    if data == "*" {
        return Criterion::AnyRelease;
    }
    if !data.contains('=') {
        let field = if data.starts_with(|c: char| c.is_ascii_digit()) {
            ReleaseField::Version
        } else {
            ReleaseField::Named
        };
        return Criterion::Release(vec![(field, Glimpse::new(data))]);
    }
    let fields = data.split(',').filter_map(|fragment| {
        let (key, value) = fragment.trim().split_once('=')?;
        let field = match key.to_ascii_lowercase().as_str() {
            "a" => ReleaseField::Archive,
            "n" => ReleaseField::Codename,
            "v" => ReleaseField::Version,
            "o" => ReleaseField::Origin,
            "l" => ReleaseField::Label,
            "c" => ReleaseField::Component,
            "b" => ReleaseField::Architecture,
            _ => return None,
        };
        (!value.is_empty()).then(|| (field, Glimpse::new(value)))
    });
    Criterion::Release(fields.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let pins = parse(text.as_bytes(), "etc/apt/preferences").unwrap();
        let lines = pins.iter().map(|pin| {
            let package = pin.package.as_ref().map_or("*".to_owned(), |p| {
                let name = match &p.name {
                    Name::Plain(name) => name.clone(),
                    Name::Wild(_) => "(pattern)".to_owned(),
                };
                format!(
                    "{}{name}{}",
                    if p.source { "src:" } else { "" },
                    p.architecture.as_ref().map(|a| format!(":{a}")).unwrap_or_default()
                )
            });
            let criterion = match &pin.criterion {
                Criterion::Version(v) => format!("version {}", v.text),
                Criterion::SourceVersion(v) => format!("source version {}", v.text),
                Criterion::AnyRelease => "any".to_owned(),
                Criterion::Release(fields) => fields
                    .iter()
                    .map(|(f, g)| format!("{f:?}={}", g.text))
                    .collect::<Vec<_>>()
                    .join(" "),
                Criterion::Origin(pattern) => format!("{pattern:?}"),
            };
            format!("{package}: {criterion}: {:?}", pin.priority)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn pins_of_every_form() {
        let text = "# mine\nPackage: *\nPin: release o=Debian,a=unstable, n=sid\nPin-Priority: -10\n\n\
            Package: perl libc6:any src:glibc /^lib/\nPin: version 5.36*\nPin-Priority: 1001\n\n\
            Package: *\nPin: release bookworm\nPin-Priority: 500\n\nPackage: *\nPin: release 12*\nPin-Priority: 1\n\n\
            Package: *\nPin: origin \"deb.example.org\"\nPin-Priority: never\n\nPackage: *\nPin: release *\nPin-Priority: 7\n\n\
            Package: *\nPin: version 1\nPin-Priority: 7\n\nPackage: x\nPin: moon full\nPin-Priority: 7\n\nPackage: x\nPin-Priority: 7\n";
        insta::assert_snapshot!(shown(text), @r#"
        *: Origin=Debian Archive=unstable Codename=sid: Of(-10)
        perl: version 5.36*: Of(1001)
        libc6:any: version 5.36*: Of(1001)
        src:glibc: version 5.36*: Of(1001)
        (pattern): version 5.36*: Of(1001)
        *: Named=bookworm: Of(500)
        *: Version=12*: Of(1)
        *: Glob("deb.example.org"): Never
        *: any: Of(7)
        "#);
    }

    #[test]
    fn what_apt_refuses_is_refused() {
        let said = |text: &str| {
            parse(text.as_bytes(), "etc/apt/preferences.d/x")
                .unwrap_err()
                .to_string()
        };
        insta::assert_snapshot!(said("Pin: release *\nPin-Priority: 1\n"), @"etc/apt/preferences.d/x, line 3: the entry that ends here has no Package");
        for priority in ["", "0", "many", "40000", "never"] {
            let text = format!("Package: a\nPin: release *\nPin-Priority: {priority}\n");
            assert!(said(&text).contains("Pin-Priority"), "{priority}");
        }
    }

    #[test]
    fn versions_match_by_their_beginning() {
        let table = [
            ("5.36*", "5.36.0-7", true),
            ("5.36", "5.36.0-7", false),
            ("1:2.0+[x]*", "1:2.0+[x]-1", true),
            ("*bpo*", "1~bpo12+1", true),
            ("/bpo/", "1~bpo12+1", true),
        ];
        for (pin, version, wanted) in table {
            assert_eq!(
                Glimpse::new(pin).matches_version(Some(version)),
                wanted,
                "{pin} {version}"
            );
        }
        assert!(!Glimpse::new("*").matches_version(None));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = parse(text.as_bytes(), "x");
        }
    }
}
