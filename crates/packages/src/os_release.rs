//! os-release(5).

use lowtide_model::inventory::OsRelease;

/// Reads the assignments it knows; anything else in the file is passed over, as os-release(5) requires of readers.
/// `ID` defaults to `linux`, as it says there.
#[must_use]
pub fn parse(text: &[u8]) -> OsRelease {
    let mut os = OsRelease {
        id: "linux".to_owned(),
        version_id: None,
        pretty_name: None,
    };
    for line in String::from_utf8_lossy(text).lines() {
        let Some((key, value)) = line.trim().split_once('=') else {
            continue;
        };
        let value = unquote(value.trim());
        match key {
            _ if value.is_empty() => {}
            "ID" => os.id = value,
            "VERSION_ID" => os.version_id = Some(value),
            "PRETTY_NAME" => os.pretty_name = Some(value),
            _ => {}
        }
    }
    os
}

/// Shell quoting without expansion: '…' is literal, a backslash outside or within "…" quotes the next character.
fn unquote(value: &str) -> String {
    let mut text = String::new();
    let mut quote = None;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(q)) if c == q => quote = None,
            ('\\', None | Some('"')) => text.extend(chars.next()),
            (c, _) => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_of_the_shell_is_understood() {
        let os = parse(
            b"# c\nPRETTY_NAME=\"Debian \\\"GNU\\\" 12\"\nID=debian\nVERSION_ID='12'\nBUG_REPORT_URL=x\nnonsense\n",
        );
        assert_eq!(os.id, "debian");
        assert_eq!(os.version_id.as_deref(), Some("12"));
        assert_eq!(os.pretty_name.as_deref(), Some("Debian \"GNU\" 12"));
    }

    #[test]
    fn an_empty_file_is_some_linux() {
        let os = parse(b"ID=\n");
        assert_eq!((os.id.as_str(), os.version_id), ("linux", None));
    }
}
