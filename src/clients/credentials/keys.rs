//! Which key of several fits a repository: a host, or a host with the beginning of a path. The longest one does, on whole
//! parts of the path, as containers-auth.json(5) says.

use std::borrow::Cow;

const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

pub(super) fn is_hub(registry: &str) -> bool {
    HUB.contains(&registry)
}

/// The entry with the longest key that covers `name`, which is a repository's or a host's; `read` makes a key comparable.
pub(super) fn longest<'a, V>(
    entries: impl Iterator<Item = (&'a String, &'a V)>,
    read: for<'k> fn(&'k str) -> Cow<'k, str>,
    name: &str,
) -> Option<(&'a str, &'a V)> {
    let fitting = entries.filter_map(|(key, value)| {
        let read = read(key);
        covers(&read, &plain(name)).then_some((read.len(), key, value))
    });
    let (_, key, value) = fitting.max_by_key(|(length, ..)| *length)?;
    Some((key, value))
}

fn covers(key: &str, name: &str) -> bool {
    name.strip_prefix(key)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A key of our own configuration, or the name of a repository or host: Docker Hub under one of its names.
pub(super) fn plain(name: &str) -> Cow<'_, str> {
    let (host, path) = name.split_at(name.find('/').unwrap_or(name.len()));
    if is_hub(host) {
        Cow::Owned(format!("docker.io{path}"))
    } else {
        Cow::Borrowed(name)
    }
}

/// A key of Docker's file. Old clients wrote the address of an API, `https://host/v1/`: what has a scheme is a host.
pub(super) fn docker(key: &str) -> Cow<'_, str> {
    let address = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let name = address.unwrap_or(key).trim_end_matches('/');
    match name.split_once('/') {
        Some((host, path)) if address.is_some() || path == "v1" || path == "v2" => plain(host),
        Some(_) | None => plain(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn chosen<'a>(keys: &[&'a str], read: for<'k> fn(&'k str) -> Cow<'k, str>, name: &str) -> Option<&'a str> {
        let entries: BTreeMap<String, ()> = keys.iter().map(|key| ((*key).to_owned(), ())).collect();
        let found = longest(entries.iter(), read, name).map(|(key, ())| key.to_owned());
        keys.iter().copied().find(|key| found.as_deref() == Some(key))
    }

    #[test]
    fn the_longest_prefix_on_whole_parts_fits() {
        let keys = ["ghcr.io", "ghcr.io/acme", "ghcr.io/acme/dev", "r.example.org:5000"];
        for (name, key) in [
            ("ghcr.io", Some("ghcr.io")),
            ("ghcr.io/other/web", Some("ghcr.io")),
            ("ghcr.io/acme", Some("ghcr.io/acme")),
            ("ghcr.io/acme/web", Some("ghcr.io/acme")),
            ("ghcr.io/acme/developers", Some("ghcr.io/acme")),
            ("ghcr.io/acme/dev", Some("ghcr.io/acme/dev")),
            ("ghcr.io/acme/dev/web", Some("ghcr.io/acme/dev")),
            ("ghcr.io.example.org/acme/dev", None),
            ("r.example.org:5000/a", Some("r.example.org:5000")),
            ("r.example.org/a", None),
            ("r.example.org:50001/a", None),
        ] {
            assert_eq!(chosen(&keys, plain, name), key, "{name}");
        }
    }

    #[test]
    fn docker_hub_and_old_addresses_are_hosts() {
        let keys = [
            "https://index.docker.io/v1/",
            "docker.io/acme",
            "https://old.example.org/v2/",
        ];
        for (name, key) in [
            ("docker.io/library/debian", Some(keys[0])),
            ("registry-1.docker.io", Some(keys[0])),
            ("index.docker.io/acme/web", Some(keys[1])),
            ("old.example.org/v2/web", Some(keys[2])),
            ("old.example.org/web", Some(keys[2])),
            ("new.example.org/web", None),
        ] {
            assert_eq!(chosen(&keys, docker, name), key, "{name}");
        }
        for (key, read) in [
            ("ghcr.io/acme/", "ghcr.io/acme"),
            ("ghcr.io/v1/", "ghcr.io"),
            ("http://ghcr.io/acme/dev", "ghcr.io"),
            ("registry-1.docker.io/acme", "docker.io/acme"),
        ] {
            assert_eq!(docker(key), read, "{key}");
        }
    }
}
