//! Names inside a layer: paths made plain, and the marks that hide what lies below (OCI image-spec, layer.md, "Whiteouts").

use super::error::LayerError;

/// Linux' PATH_MAX: what is longer cannot be unpacked, nor a link followed.
const PATH_MAX: u64 = 4096;

/// What an entry's name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// A path; empty for the root.
    Path(String),
    /// The path is not there any more, nor what was in it.
    Hidden(String),
    /// What was in the directory is not there any more.
    Opaque(String),
    /// Metadata that AUFS stored under such names; not part of the image.
    Bookkeeping,
}

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
const META: &str = ".wh..wh.";

pub(super) fn parse(raw: &[u8]) -> Result<Name, LayerError> {
    let path = normalised(raw)?;
    let (parent, base) = path.rsplit_once('/').unwrap_or(("", &path));
    if base == OPAQUE {
        return Ok(Name::Opaque(parent.to_owned()));
    }
    if base.starts_with(META) {
        return Ok(Name::Bookkeeping);
    }
    match base.strip_prefix(WHITEOUT) {
        None => Ok(Name::Path(path)),
        // They would hide the directory itself, or what is outside of it.
        Some("" | "." | "..") => Err(LayerError::Name { name: path }),
        Some(hidden) => Ok(Name::Hidden(joined(parent, hidden))),
    }
}

/// Without `./`, leading and trailing slashes; empty for the root itself.
pub(super) fn normalised(raw: &[u8]) -> Result<String, LayerError> {
    LayerError::bounded("bytes in one name", raw.len() as u64, PATH_MAX)?;
    let name = text(raw);
    let parts: Vec<&str> = name
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") || name.contains('\0') {
        return Err(LayerError::Name { name });
    }
    Ok(parts.join("/"))
}

/// Names are bytes on Linux; those that are not UTF-8 are shown with `\xNN`, so that two of them stay two.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|b| format!("\\x{b:02x}")));
    }
    text
}

pub(super) fn joined(parent: &str, base: &str) -> String {
    if parent.is_empty() {
        base.to_owned()
    } else {
        format!("{parent}/{base}")
    }
}

/// The directory of a path; `None` for the root's own entries.
pub(super) fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_reported_from_names() {
        let path = |p: &str| Some(Name::Path(p.to_owned()));
        let hidden = |p: &str| Some(Name::Hidden(p.to_owned()));
        let opaque = |p: &str| Some(Name::Opaque(p.to_owned()));
        for (raw, name) in [
            ("./usr//bin/", path("usr/bin")),
            ("/", path("")),
            ("a/.whatever", path("a/.whatever")),
            ("a/.wh.b", hidden("a/b")),
            (".wh.b", hidden("b")),
            (".wh..b", hidden(".b")),
            ("a/.wh..wh..opq", opaque("a")),
            (".wh..wh..opq", opaque("")),
            (".wh..wh.plnk", Some(Name::Bookkeeping)),
            ("a/.wh..wh.aufs", Some(Name::Bookkeeping)),
            ("a/.wh.", None),
            ("a/.wh..", None),
            ("a/.wh...", None),
            ("../a", None),
            ("a/../../b", None),
        ] {
            assert_eq!(parse(raw.as_bytes()).ok(), name, "{raw}");
        }
        assert!(matches!(parse(&[b'a'; 5000]), Err(LayerError::TooMuch { .. })));
    }

    #[test]
    fn names_that_are_no_text_stay_apart() {
        assert_eq!(text(b"a\xff\xfeb"), "a\\xff\\xfeb");
        assert_ne!(normalised(b"\xff").unwrap(), normalised(b"\xfe").unwrap());
    }
}
