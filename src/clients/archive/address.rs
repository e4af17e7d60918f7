//! From a source's address to the one that is fetched: mirrors put in its place, transports distinguished.

use super::error::ArchiveError;
use reqwest::Url;
use std::path::PathBuf;

/// What starts with `from` is fetched from `to` instead; the image keeps naming `from`. Hashes and signatures still
/// have to fit, so a mirror needs no more trust than any other server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    pub from: String,
    pub to: String,
}

/// Where bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Web(Url),
    File(PathBuf),
}

/// The first mirror that fits counts. A prefix fits up to a `/`, so that `…/debian` is not `…/debian-security`.
pub(super) fn place(address: &str, mirrors: &[Mirror]) -> Result<Place, ArchiveError> {
    let moved = mirrors.iter().find_map(|mirror| {
        let rest = address.strip_prefix(mirror.from.trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{}{rest}", mirror.to.trim_end_matches('/')))
    });
    let address = moved.as_deref().unwrap_or(address);
    let wrong = |why| ArchiveError::Address {
        url: shown(address),
        why,
    };
    let url = Url::parse(address).map_err(|_| wrong("it is not an address"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(Place::Web(url)),
        "file" | "copy" => Ok(Place::File(PathBuf::from(url.path()))),
        _ => Err(wrong("only http, https and file are known")),
    }
}

/// Without user name and password, for errors and logs.
#[must_use]
pub fn shown(address: &str) -> String {
    match Url::parse(address) {
        Ok(mut url) if !url.username().is_empty() || url.password().is_some() => {
            // Both fail only for addresses without a host, which have no user either.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.to_string()
        }
        Ok(_) | Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_take_the_place_of_what_they_mirror() {
        let mirrors = [
            ("http://deb.example.org/debian", "http://cache.example.org:3142/debian/"),
            ("http://deb.example.org/", "http://other.example.org/"),
        ]
        .map(|(from, to)| Mirror {
            from: from.to_owned(),
            to: to.to_owned(),
        });
        for (requested, fetched) in [
            (
                "http://deb.example.org/debian/dists/stable/InRelease",
                "http://cache.example.org:3142/debian/dists/stable/InRelease",
            ),
            ("http://deb.example.org/debian", "http://cache.example.org:3142/debian"),
            (
                "http://deb.example.org/debian-security/x",
                "http://other.example.org/debian-security/x",
            ),
            ("https://deb.example.org/debian/x", "https://deb.example.org/debian/x"),
        ] {
            assert_eq!(
                place(requested, &mirrors).unwrap(),
                Place::Web(fetched.parse().unwrap()),
                "{requested}"
            );
        }
    }

    #[test]
    fn transports_are_reported_apart_and_passwords_not_shown() {
        assert_eq!(
            place("file:/srv/repo/Release", &[]).unwrap(),
            Place::File("/srv/repo/Release".into())
        );
        let said = |address: &str| place(address, &[]).unwrap_err().to_string();
        insta::assert_snapshot!(said("cdrom:[Debian]/dists"), @"cdrom:[Debian]/dists cannot be fetched: only http, https and file are known");
        insta::assert_snapshot!(said("ftp://u:secret@ftp.example.org/x"), @"ftp://ftp.example.org/x cannot be fetched: only http, https and file are known");
        insta::assert_snapshot!(said("dists/stable"), @"dists/stable cannot be fetched: it is not an address");
        assert_eq!(shown("https://u:secret@deb.example.org/x"), "https://deb.example.org/x");
    }
}
