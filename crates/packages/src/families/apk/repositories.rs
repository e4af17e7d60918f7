//! Where packages come from: apk-repositories(5), in the form of apk 3, of which that of apk 2 is a part.

use crate::error::{ParseError, Problem};
use std::collections::BTreeMap;

/// One repository, as the image names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Path in the image.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Without a slash at the end, variables put in.
    pub url: String,
    /// Without its sign. Packages of such a repository are only for what `world` wants by the tag, and what that needs.
    pub tag: Option<String>,
    /// Why it cannot be queried from outside, when it cannot.
    pub out_of_reach: Option<OutOfReach>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum OutOfReach {
    #[error("it is a folder of the image")]
    Folder,
    #[error("its address is neither http nor https")]
    Scheme,
    #[error("its index is of apk's version 3")]
    Version3,
    #[error("it names an index, not a repository")]
    IndexFile,
}

/// Names and values, across the files of one image.
pub(super) type Variables = BTreeMap<String, String>;

const MAX_URL: usize = 4 << 10;

impl Source {
    /// The address without a user's name and password.
    #[must_use]
    pub fn shown(&self) -> String {
        let Some((scheme, rest)) = self.url.split_once("://") else {
            return self.url.clone();
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{host}{path}")
    }
}

/// Reads one file, the first of an image with only `APK_ARCH` among the variables.
///
/// # Errors
/// A line that apk would not understand; apk then passes over the rest of the file.
pub(super) fn parse(text: &[u8], file: &str, variables: &mut Variables) -> Result<Vec<Source>, ParseError> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(String::from_utf8_lossy(text).lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |what| ParseError::new(file, number, Problem::BadValue(what));
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty()).peekable();
        if line.starts_with([' ', '\t']) {
            return Err(bad("the line"));
        }
        let mut kind = None;
        if let Some(word) = words.next_if(|word| is_keyword(word)) {
            match word {
                "set" => {
                    set(words, variables).ok_or_else(|| bad("a variable"))?;
                    continue;
                }
                "v2" | "v3" | "ndx" => kind = Some(word),
                _ => return Err(bad("the kind of repository")),
            }
        }
        let tag = words
            .next_if(|word| word.starts_with('@'))
            .map(|tag| tag[1..].to_owned());
        let url = words.next().ok_or_else(|| bad("the address"))?;
        let url = expanded(url, variables).ok_or_else(|| bad("a variable"))?;
        let url = url.trim_end_matches('/');
        if !(url.starts_with('/') || url.contains("://")) {
            return Err(bad("the address"));
        }
        let source = |url: String| Source {
            file: file.to_owned(),
            line: number,
            out_of_reach: out_of_reach(kind, &url),
            url,
            tag: tag.clone(),
        };
        if words.peek().is_none() {
            found.push(source(url.to_owned()));
        }
        for component in words {
            let component = expanded(component, variables).ok_or_else(|| bad("a variable"))?;
            let components = component.split([' ', '\t']).filter(|it| !it.is_empty());
            found.extend(components.map(|it| source(format!("{url}/{}", it.trim_matches('/')))));
        }
    }
    Ok(found)
}

fn is_keyword(word: &str) -> bool {
    !word.starts_with(['@', '$', '/']) && !word.contains("://")
}

fn out_of_reach(kind: Option<&str>, url: &str) -> Option<OutOfReach> {
    if kind == Some("v3") || url.ends_with(".adb") {
        Some(OutOfReach::Version3)
    } else if kind == Some("ndx") || url.ends_with(".tar.gz") {
        Some(OutOfReach::IndexFile)
    } else if url.starts_with("http://") || url.starts_with("https://") {
        None
    } else if url.starts_with('/') || url.starts_with("file://") {
        Some(OutOfReach::Folder)
    } else {
        Some(OutOfReach::Scheme)
    }
}

/// `set -default name=value`
fn set<'a>(mut words: impl Iterator<Item = &'a str>, variables: &mut Variables) -> Option<()> {
    let mut word = words.next()?;
    let default = word == "-default";
    if default {
        word = words.next()?;
    }
    let (name, value) = word.split_once('=')?;
    let sign = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(sign) || name.starts_with("APK_") {
        return None;
    }
    // A value may have blanks: the rest of the line belongs to it.
    let value = std::iter::once(value).chain(words).collect::<Vec<_>>().join(" ");
    let value = expanded(&value, variables)?;
    if !default || !variables.contains_key(name) {
        variables.insert(name.to_owned(), value);
    }
    Some(())
}

/// `None`: a variable that is not set, or a text that grew too long.
fn expanded(text: &str, variables: &Variables) -> Option<String> {
    let mut found = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}')?;
        found.push_str(before);
        found.push_str(variables.get(name)?);
        rest = after;
        if found.len() > MAX_URL {
            return None;
        }
    }
    found.push_str(rest);
    (found.len() <= MAX_URL).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut variables = Variables::from([("APK_ARCH".to_owned(), "x86_64".to_owned())]);
        match parse(text.as_bytes(), "etc/apk/repositories", &mut variables) {
            Ok(found) => {
                let line = |source: &Source| {
                    let reach = source.out_of_reach.map(|why| format!(" ({why})"));
                    let tag = source.tag.as_deref().unwrap_or("-");
                    format!("{} {tag} {}{}", source.line, source.shown(), reach.unwrap_or_default())
                };
                found.iter().map(line).collect::<Vec<_>>().join("\n")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_form_is_read() {
        let text = "# main\nhttps://dl.example.org/alpine/v3.20/main/\n\n@edge http://dl.example.org/alpine/edge/testing\n\
            /media/cdrom/apks\nfile:///srv/apks\nftp://old.example.org/main\nhttps://me:secret@apk.example.org/own\n\
            set -default mirror=https://m.example.org/alpine\nset mirror=https://n.example.org\nset -default mirror=https://no.example.org\n\
            v2 @own ${mirror}/${APK_ARCH} main  community\nv3 ${mirror}\nndx https://x.example.org/APKINDEX.tar.gz\n\
            https://y.example.org/p.adb\nset parts=a b\n${mirror} ${parts}";
        insta::assert_snapshot!(shown(text), @"
        2 - https://dl.example.org/alpine/v3.20/main
        4 edge http://dl.example.org/alpine/edge/testing
        5 - /media/cdrom/apks (it is a folder of the image)
        6 - file:///srv/apks (it is a folder of the image)
        7 - ftp://old.example.org/main (its address is neither http nor https)
        8 - https://apk.example.org/own
        12 own https://n.example.org/x86_64/main
        12 own https://n.example.org/x86_64/community
        13 - https://n.example.org (its index is of apk's version 3)
        14 - https://x.example.org/APKINDEX.tar.gz (it names an index, not a repository)
        15 - https://y.example.org/p.adb (its index is of apk's version 3)
        17 - https://n.example.org/a
        17 - https://n.example.org/b
        ");
    }

    #[test]
    fn what_apk_would_not_understand_is_named() {
        insta::assert_snapshot!(shown("deb https://x.example.org main"), @"etc/apk/repositories, line 1: the kind of repository has a value that cannot be understood");
        insta::assert_snapshot!(shown("\n@edge"), @"etc/apk/repositories, line 2: the address has a value that cannot be understood");
        insta::assert_snapshot!(shown(" https://x.example.org"), @"etc/apk/repositories, line 1: the line has a value that cannot be understood");
        insta::assert_snapshot!(shown("https://${host}/main"), @"etc/apk/repositories, line 1: a variable has a value that cannot be understood");
        insta::assert_snapshot!(shown("set APK_ARCH=x"), @"etc/apk/repositories, line 1: a variable has a value that cannot be understood");
        let grows = format!("set a={}\n{}", "x".repeat(99), "set a=${a}${a}\n".repeat(40));
        insta::assert_snapshot!(shown(&grows), @"etc/apk/repositories, line 7: a variable has a value that cannot be understood");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(set |-default |@|[a-c$={}/ ]|v2 |://|\n){0,30}") {
            let _ = parse(text.as_bytes(), "x", &mut Variables::new());
        }
    }
}
