//! sources.list(5): one-line style and deb822 style.

use super::conf::truth;
use crate::deb822::{Stanza, Stanzas};
use crate::error::{ParseError, Problem};

/// One suite of one archive, as the image's sources name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Path in the image and, for the one-line style, the line; for the other, the line at which the entry ends.
    pub place: Place,
    /// With a slash at the end, as apt writes it.
    pub uri: String,
    /// `bookworm`, or a path with a slash at its end: a flat archive, which has neither `dists/` nor components.
    pub suite: String,
    /// Empty for a flat archive.
    pub components: Vec<String>,
    pub options: SourceOptions,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Place {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
}

/// The options that decide about what is fetched and believed. The others (languages, deltas) do not concern indexes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceOptions {
    /// In place of the configured ones.
    pub architectures: Option<Vec<String>>,
    pub architectures_added: Vec<String>,
    pub architectures_removed: Vec<String>,
    /// `Some(true)`: believed without a signature. `Some(false)`: never believed.
    pub trusted: Option<bool>,
    pub signed_by: Option<SignedBy>,
    pub check_valid_until: Option<bool>,
    pub check_date: Option<bool>,
    /// Seconds after the archive's date.
    pub valid_until_min: Option<u64>,
    pub valid_until_max: Option<u64>,
    /// `yes`, `no` or `force`.
    pub by_hash: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedBy {
    /// Absolute paths of keyrings and fingerprints, as listed.
    Listed(Vec<String>),
    /// An armoured key, as it stood there.
    Inline(String),
}

impl Source {
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }

    /// The host as `Pin: origin` means it: empty for files of the image itself.
    #[must_use]
    pub fn host(&self) -> &str {
        let Some((_, rest)) = self.uri.split_once("://") else {
            return "";
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        }
    }

    /// Where `Release` and `InRelease` are, with a slash at the end.
    #[must_use]
    pub fn base(&self) -> String {
        match self.suite.as_str() {
            "/" | "./" => self.uri.clone(),
            suite if self.is_flat() => format!("{}{suite}", self.uri),
            suite => format!("{}dists/{suite}/", self.uri),
        }
    }

    /// The architectures whose indexes apt would fetch, of those that the image is configured for; without `all`.
    #[must_use]
    pub fn architectures(&self, configured: &[String]) -> Vec<String> {
        let options = &self.options;
        let mut found = options.architectures.clone().unwrap_or_else(|| configured.to_vec());
        for added in &options.architectures_added {
            if !found.contains(added) {
                found.push(added.clone());
            }
        }
        found.retain(|a| a != "all" && !options.architectures_removed.contains(a));
        found
    }
}

/// Reads `sources.list`, a `.list` or a `.sources` file; its name says which. Binary archives that are enabled, in the
/// order in which they stand there.
///
/// # Errors
/// An entry that apt would not understand; apt, too, then has no sources at all.
pub fn parse(text: &[u8], file: &str, native: &str) -> Result<Vec<Source>, ParseError> {
    let mut found = Vec::new();
    if file.ends_with(".sources") {
        let mut stanzas = Stanzas::new(text, file).with_comments();
        while let Some(stanza) = stanzas.next_stanza()? {
            stanza_style(stanza, file, native, &mut found)?;
        }
        return Ok(found);
    }
    let text = String::from_utf8_lossy(text);
    for (number, line) in (1..).zip(text.lines()) {
        let place = Place {
            file: file.to_owned(),
            line: number,
        };
        found.extend(line_style(line, &place, native)?);
    }
    Ok(found)
}

fn line_style(line: &str, place: &Place, native: &str) -> Result<Option<Source>, ParseError> {
    let bad = |what| ParseError::new(&place.file, place.line, Problem::BadValue(what));
    let line = without_comment(line).trim();
    let Some((kind, rest)) = line.split_once(char::is_whitespace) else {
        return if line.is_empty() {
            Ok(None)
        } else {
            Err(bad("the line"))
        };
    };
    match kind {
        "deb" => {}
        "deb-src" => return Ok(None),
        _ => return Err(bad("the type of source")),
    }
    let mut options = SourceOptions::default();
    let mut rest = rest.trim_start();
    if let Some(inner) = rest.strip_prefix('[') {
        let (inside, after) = inner.split_once(']').ok_or_else(|| bad("the list of options"))?;
        for option in inside.split_whitespace() {
            let (key, value) = option.split_once('=').ok_or_else(|| bad("an option"))?;
            options.set(key, value);
        }
        rest = after;
    }
    let mut words = words(rest).into_iter();
    let (Some(uri), Some(suite)) = (words.next(), words.next()) else {
        return Err(bad("the line"));
    };
    let components: Vec<String> = words.map(ToOwned::to_owned).collect();
    source(place, uri, suite, components, &options, native).map(Some)
}

fn stanza_style(stanza: Stanza<'_>, file: &str, native: &str, found: &mut Vec<Source>) -> Result<(), ParseError> {
    let place = Place {
        file: file.to_owned(),
        line: stanza.end,
    };
    let disabled = stanza.get("Enabled").is_some_and(|value| truth(value) == Some(false));
    let types = stanza.needed(file, "Types")?;
    if disabled || !types.split_whitespace().any(|kind| kind == "deb") {
        return Ok(());
    }
    let mut options = SourceOptions::default();
    for (name, value) in stanza.fields() {
        let key = match name.to_ascii_lowercase().as_str() {
            "architectures" => "arch",
            "architectures-add" => "arch+",
            "architectures-remove" => "arch-",
            "signed-by" => {
                options.signed_by = Some(signed_by(value));
                continue;
            }
            "trusted" => "trusted",
            "check-valid-until" => "check-valid-until",
            "check-date" => "check-date",
            "valid-until-min" => "valid-until-min",
            "valid-until-max" => "valid-until-max",
            "by-hash" => "by-hash",
            _ => continue,
        };
        let value: Vec<&str> = value.split_whitespace().collect();
        options.set(key, &value.join(","));
    }
    let suites = stanza.needed(file, "Suites")?;
    let components = stanza.get("Components").unwrap_or_default();
    for uri in stanza.needed(file, "URIs")?.split_whitespace() {
        for suite in suites.split_whitespace() {
            let components = components.split_whitespace().map(ToOwned::to_owned).collect();
            found.push(source(&place, uri, suite, components, &options, native)?);
        }
    }
    Ok(())
}

fn source(
    place: &Place,
    uri: &str,
    suite: &str,
    components: Vec<String>,
    options: &SourceOptions,
    native: &str,
) -> Result<Source, ParseError> {
    let bad = |what| ParseError::new(&place.file, place.line, Problem::BadValue(what));
    if !uri.contains(':') {
        return Err(bad("the URI"));
    }
    let mut uri = uri.replace("$(ARCH)", native);
    if !uri.ends_with('/') {
        uri.push('/');
    }
    let source = Source {
        place: place.clone(),
        uri,
        suite: suite.replace("$(ARCH)", native),
        components,
        options: options.clone(),
    };
    if source.is_flat() != source.components.is_empty() {
        return Err(bad("the list of components"));
    }
    Ok(source)
}

impl SourceOptions {
    fn set(&mut self, key: &str, value: &str) {
        let list = || {
            value
                .split(',')
                .filter(|v| !v.is_empty())
                .map(ToOwned::to_owned)
                .collect()
        };
        match key {
            "arch" => self.architectures = Some(list()),
            "arch+" => self.architectures_added = list(),
            "arch-" => self.architectures_removed = list(),
            "trusted" => self.trusted = truth(value),
            "signed-by" => self.signed_by = Some(signed_by(value)),
            "check-valid-until" => self.check_valid_until = truth(value),
            "check-date" => self.check_date = truth(value),
            "valid-until-min" => self.valid_until_min = value.parse().ok(),
            "valid-until-max" => self.valid_until_max = value.parse().ok(),
            "by-hash" => self.by_hash = Some(value.to_owned()),
            // Languages, deltas, other kinds of index.
            _ => {}
        }
    }
}

fn signed_by(value: &str) -> SignedBy {
    if !value.contains("-----BEGIN PGP") {
        let listed = value.split(|c: char| c == ',' || c.is_whitespace());
        return SignedBy::Listed(listed.filter(|v| !v.is_empty()).map(ToOwned::to_owned).collect());
    }
    // A continuation line begins with a blank; one that would be empty is a dot.
    let lines = value.lines().map(|line| match line.trim() {
        "." => "",
        line => line,
    });
    SignedBy::Inline(lines.collect::<Vec<_>>().join("\n") + "\n")
}

/// A number sign begins a comment, except inside the brackets of the options.
fn without_comment(line: &str) -> &str {
    let mut depth = 0_i32;
    for (at, c) in line.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            '#' if depth <= 0 => return &line[..at],
            _ => {}
        }
    }
    line
}

/// Blanks separate, except inside brackets: `cdrom:[Debian 12]/`.
fn words(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = None;
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        match (c.is_whitespace() && depth <= 0, start) {
            (true, Some(from)) => {
                found.push(&text[from..at]);
                start = None;
            }
            (false, None) => start = Some(at),
            (true, None) | (false, Some(_)) => {}
        }
    }
    found.extend(start.map(|from| &text[from..]));
    found
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
