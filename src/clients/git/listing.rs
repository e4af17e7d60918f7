//! What a commit would put on disk, looked at before anything is written.

use super::error::GitError;
use std::collections::BTreeMap;

/// More files than the Linux kernel has, twice over.
const MAX_FILES: usize = 200_000;
/// NAME_MAX and PATH_MAX of Linux, bytes.
const MAX_NAME: usize = 255;
const MAX_PATH: usize = 4096;
/// As the kernel does before it says ELOOP.
const MAX_FOLLOWED: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// From the root of the tree, without leading slash.
    pub(super) path: String,
    pub(super) kind: Kind,
    /// Object id: a blob's, or a submodule's commit.
    pub(super) id: String,
    /// Bytes.
    pub(super) size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Link,
    Submodule,
}

/// Where a path ends after every link on it is followed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Followed {
    Inside(String),
    Outside,
    /// Links that lead in a circle: nobody can follow them.
    Nowhere,
}

/// Reads `git ls-tree -r -l -z --full-tree`. `within` is the submodule's path, or empty.
///
/// # Errors
/// `Hostile` for names and kinds that have no place in a build context.
pub(super) fn parse(output: &[u8], within: &str) -> Result<Vec<Entry>, GitError> {
    let lines = output.split(|b| *b == 0).filter(|line| !line.is_empty());
    lines.map(|line| entry(line, within)).collect()
}

fn entry(line: &[u8], within: &str) -> Result<Entry, GitError> {
    let hostile = |what: String| GitError::Hostile { what };
    let Ok(line) = std::str::from_utf8(line) else {
        let name = String::from_utf8_lossy(line);
        let name = name.split_once('\t').map_or("", |(_, path)| path);
        return Err(hostile(format!("the name {name:?} is not UTF-8")));
    };
    let (meta, path) = line.split_once('\t').unwrap_or((line, ""));
    let mut fields = meta.split_ascii_whitespace();
    let (mode, _, id, size) = (fields.next(), fields.next(), fields.next(), fields.next());
    check_name(path)?;
    let kind = match mode {
        Some("100644" | "100755" | "100664") => Kind::File,
        Some("120000") => Kind::Link,
        Some("160000") => Kind::Submodule,
        Some(_) | None => return Err(hostile(format!("{path:?} is no file, link or directory"))),
    };
    Ok(Entry {
        path: if within.is_empty() {
            path.to_owned()
        } else {
            format!("{within}/{path}")
        },
        kind,
        id: id.unwrap_or_default().to_owned(),
        size: size.and_then(|s| s.parse().ok()).unwrap_or(0),
    })
}

/// # Errors
/// `Hostile`, with the name quoted.
fn check_name(path: &str) -> Result<(), GitError> {
    let why = if path.chars().any(char::is_control) {
        "has control characters"
    } else if path.len() > MAX_PATH || path.split('/').any(|name| name.len() > MAX_NAME) {
        "is too long"
    } else if path.split('/').any(is_trick) {
        "is a name git or a path walk would take for something else"
    } else {
        return Ok(());
    };
    let shown: String = path.chars().take(200).collect();
    Err(GitError::Hostile {
        what: format!("the name {shown:?} {why}"),
    })
}

/// `.`, `..`, and whatever some file system takes for `.git`.
fn is_trick(name: &str) -> bool {
    // HFS+ ignores these characters (git's own list, utf8.c).
    let seen = |c: &char| !matches!(*c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let plain: String = name.chars().filter(seen).collect::<String>().to_ascii_lowercase();
    let plain = plain.trim_end_matches(['.', ' ']);
    plain.is_empty() || plain == ".git" || plain == "git~1"
}

/// # Errors
/// `TooLarge` when the files are too many or too big; `Hostile` when a link leads out.
pub(super) fn check(entries: &[Entry], links: &BTreeMap<String, String>, max_size: u64) -> Result<(), GitError> {
    if entries.len() > MAX_FILES {
        return Err(GitError::TooLarge {
            what: format!("the tree with {} files", entries.len()),
            limit: format!("{MAX_FILES} files"),
        });
    }
    let total: u64 = entries.iter().map(|e| e.size).fold(0, u64::saturating_add);
    if total > max_size {
        let largest = entries.iter().max_by_key(|e| e.size);
        let (path, size) = largest.map_or(("", 0), |e| (&e.path, e.size));
        return Err(GitError::TooLarge {
            what: format!("the tree with {total} bytes (the largest file is {path:?} with {size})"),
            limit: format!("{max_size} bytes"),
        });
    }
    for (path, target) in links {
        match follow(path, links) {
            Followed::Inside(_) | Followed::Nowhere => {}
            Followed::Outside => {
                return Err(GitError::Hostile {
                    what: format!("the link {path:?} leads out of the repository, to {target:?}"),
                });
            }
        }
    }
    Ok(())
}

/// Walks `path` as the kernel would with the repository as its root, except that leaving it is noticed. Comparing texts
/// is not enough: `a/p -> q/../..` looks harmless until `a/q` is a link to `..`.
pub(super) fn follow(path: &str, links: &BTreeMap<String, String>) -> Followed {
    let mut ahead: Vec<&str> = path.split('/').rev().collect();
    let mut at: Vec<&str> = Vec::new();
    let mut followed = 0;
    while let Some(name) = ahead.pop() {
        match name {
            "" | "." => {}
            ".." => {
                if at.pop().is_none() {
                    return Followed::Outside;
                }
            }
            name => {
                at.push(name);
                if let Some(target) = links.get(&at.join("/")) {
                    followed += 1;
                    if target.starts_with('/') {
                        return Followed::Outside;
                    }
                    if followed > MAX_FOLLOWED {
                        return Followed::Nowhere;
                    }
                    at.pop();
                    ahead.extend(target.split('/').rev());
                }
            }
        }
    }
    Followed::Inside(at.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn links(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn links_are_walked_not_read() {
        let inside = links(&[
            ("a/l", "../b"),
            ("b", "c/d"),
            ("loop", "loop"),
            ("gone", "nowhere/x"),
            ("root", "."),
        ]);
        assert!(check(&[], &inside, 0).is_ok());
        assert_eq!(follow("a/l/file", &inside), Followed::Inside("c/d/file".into()));
        assert_eq!(follow("loop", &inside), Followed::Nowhere);
        for outside in [
            links(&[("evil", "/etc/passwd")]),
            links(&[("evil", "..")]),
            links(&[("a/evil", "../../x")]),
            links(&[("a/q", "../"), ("a/p", "q/../..")]),
            links(&[("a/b/up", "../.."), ("x", "a/b/up/../y")]),
        ] {
            assert!(
                matches!(check(&[], &outside, 0), Err(GitError::Hostile { .. })),
                "{outside:?}"
            );
        }
    }

    #[test]
    fn odd_names_are_refused() {
        let line = |path: &str| format!("100644 blob 0123    5\t{path}\0");
        for good in ["a", "a/b.c", ".gitignore", "ünïcode", "a b", "..."] {
            let good = if good == "..." { "a..." } else { good };
            assert!(parse(line(good).as_bytes(), "").is_ok(), "{good:?}");
        }
        let long = "x".repeat(256);
        for bad in [
            "a\nb",
            "a\x1b[2J",
            ".git/config",
            "sub/.GIT/hooks/x",
            "a/../b",
            "..",
            "git~1/x",
            ".g\u{200c}it/x",
            ".git /x",
            ".git./x",
            "a//b",
            "...",
            &long,
        ] {
            assert!(
                matches!(parse(line(bad).as_bytes(), ""), Err(GitError::Hostile { .. })),
                "{bad:?}"
            );
        }
        assert!(parse(b"100644 blob 0123    5\ta\xff\0", "").is_err());
        assert!(parse(b"020000 blob 0123    5\tdevice\0", "").is_err());
    }

    #[test]
    fn a_tree_has_limits() {
        let found = parse(
            b"100644 blob 01 700\ta\x00100755 blob 02 400\tb\x00160000 commit 03 -\tsub\x00",
            "lib",
        )
        .unwrap();
        assert_eq!(found[2].path, "lib/sub");
        assert_eq!(found[2].kind, Kind::Submodule);
        assert!(check(&found, &BTreeMap::new(), 1100).is_ok());
        let error = check(&found, &BTreeMap::new(), 1099).unwrap_err();
        insta::assert_snapshot!(error, @r#"the tree with 1100 bytes (the largest file is "lib/a" with 700) is larger than 1099 bytes"#);
        let many: Vec<_> = (0..=MAX_FILES).map(|_| found[0].clone()).collect();
        assert!(matches!(
            check(&many, &BTreeMap::new(), u64::MAX),
            Err(GitError::TooLarge { .. })
        ));
    }

    proptest! {
        /// The kernel is the judge: in a directory `root` two levels deep, no path we call inside may end outside.
        #[test]
        fn the_kernel_agrees(
            pairs in prop::collection::vec(("[ab](/[ab]){0,2}", "(\\.\\.|\\.|[ab])(/(\\.\\.|[ab])){0,3}"), 1..6),
            path in "[ab](/([ab]|\\.\\.)){0,3}",
        ) {
            let top = tempfile::tempdir().unwrap();
            let root = top.path().canonicalize().unwrap().join("outer/root");
            std::fs::create_dir_all(&root).unwrap();
            let mut made = BTreeMap::new();
            for (link, target) in pairs {
                let place = root.join(&link);
                let parent = place.parent().unwrap();
                // Only links whose own path has no link on it: that is what a git tree can hold.
                let plain = !made.keys().any(|m: &String| link == *m || link.starts_with(&format!("{m}/")));
                if plain && std::fs::create_dir_all(parent).is_ok() && std::os::unix::fs::symlink(&target, &place).is_ok() {
                    made.insert(link, target);
                }
            }
            if let Ok(real) = std::fs::canonicalize(root.join(&path)) {
                let real = real.strip_prefix(&root).ok().map(|p| p.to_string_lossy().into_owned());
                match (follow(&path, &made), real) {
                    (Followed::Inside(ours), Some(kernel)) => prop_assert_eq!(ours, kernel),
                    (Followed::Inside(ours), None) => prop_assert!(false, "{ours:?} is outside"),
                    (Followed::Outside, _) => {}
                    (Followed::Nowhere, real) => prop_assert!(false, "the kernel went to {real:?}"),
                }
            }
        }
    }
}
