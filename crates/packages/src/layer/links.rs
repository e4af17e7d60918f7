//! Following links inside an image: never out of its root, never for ever.

use super::name::joined;

/// Linux follows no more (path_resolution(7)).
const HOPS: usize = 40;

/// Where `path` leads when links are followed as inside the image: an absolute target starts at its root, `..` ends
/// there. `link_at` gives the target when a path is a symbolic link. The last part is followed when `last`. `None`: more
/// links than Linux follows.
pub(crate) fn resolve<'a>(path: &str, last: bool, link_at: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let mut hops = 0;
    let mut found = String::with_capacity(path.len());
    // What is still to walk, the next part at the end.
    let mut ahead: Vec<String> = parts(path);
    while let Some(part) = ahead.pop() {
        if part == ".." {
            found.truncate(found.rfind('/').unwrap_or(0));
            continue;
        }
        let here = joined(&found, &part);
        match link_at(&here).filter(|_| last || !ahead.is_empty()) {
            Some(target) => {
                hops += 1;
                if hops > HOPS {
                    return None;
                }
                if target.starts_with('/') {
                    found.clear();
                }
                ahead.extend(parts(target));
            }
            None => found = here,
        }
    }
    Some(found)
}

/// In reverse.
fn parts(path: &str) -> Vec<String> {
    let parts = path.rsplit('/').filter(|part| !part.is_empty() && *part != ".");
    parts.map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn links_are_followed_inside() {
        let links = BTreeMap::from([
            ("lib", "usr/lib"),
            ("etc/os-release", "../usr/lib/os-release"),
            ("etc/out", "../../../../etc/passwd"),
            ("etc/abs", "/lib/x"),
            ("loop", "./loop"),
            ("up", "lib/.."),
        ]);
        let at = |path: &str, last| resolve(path, last, |p| links.get(p).copied());
        for (path, end) in [
            ("lib/apk/db", Some("usr/lib/apk/db")),
            ("etc/os-release", Some("usr/lib/os-release")),
            ("etc/out", Some("etc/passwd")),
            ("etc/abs", Some("usr/lib/x")),
            ("up/bin", Some("usr/bin")),
            ("loop", None),
            ("loop/x", None),
            ("nothing/here", Some("nothing/here")),
        ] {
            assert_eq!(at(path, true).as_deref(), end, "{path}");
        }
        assert_eq!(at("lib", false).as_deref(), Some("lib"));
        assert_eq!(at("etc/abs", false).as_deref(), Some("etc/abs"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_leads_out(links: BTreeMap<String, String>, path: String) {
            if let Some(end) = resolve(&path, true, |p| links.get(p).map(String::as_str)) {
                proptest::prop_assert!(!end.starts_with('/') && end.split('/').all(|part| part != ".."), "{end}");
            }
        }

        #[test]
        fn chains_end(links in proptest::collection::btree_map("[ab]", "[ab./]{0,5}", 0..4), path in "[ab/]{0,6}") {
            let _ = resolve(&path, true, |p| links.get(p).map(String::as_str));
        }
    }
}
