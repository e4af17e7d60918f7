//! Walking a directory that is to be a build context.

use super::context::{Context, ContextError, Entry, Kind, Limits, Source, Verdict, io_error};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

impl Context {
    /// Walks `dir`. `always` are paths sent whatever `ignore` says; `replace` gives paths other contents than the
    /// disk's, or adds them. Blocking.
    ///
    /// # Errors
    /// A socket, device or pipe, a name that is not UTF-8, a limit passed, or a directory that cannot be read.
    pub fn scan(
        dir: &Path,
        ignore: &dyn Fn(&str, bool) -> Verdict,
        always: &[&str],
        replace: &[(String, Bytes)],
        mtime: i64,
        limits: Limits,
    ) -> Result<Self, ContextError> {
        let mut walk = Walk {
            ignore,
            always,
            limits,
            bytes: 0,
            entries: BTreeMap::new(),
        };
        walk.directory(dir, "")?;
        for (path, bytes) in replace {
            walk.add_parents(path);
            let executable = matches!(
                walk.entries.get(&Key::of(path)),
                Some(Kind::File { executable: true, .. })
            );
            let source = Source::Memory(bytes.clone());
            let kind = Kind::File {
                size: bytes.len() as u64,
                executable,
                source,
            };
            walk.entries.insert(Key::of(path), kind);
        }
        let entries = walk
            .entries
            .into_iter()
            .map(|(key, kind)| Entry {
                path: key.0.join("/"),
                kind,
            })
            .collect();
        Ok(Self { entries, mtime })
    }
}

/// A path by its components, so that `a/b` sorts before `a.b` as both the tar and BuildKit's transfer want it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(Vec<String>);

impl Key {
    fn of(path: &str) -> Self {
        Self(path.split('/').map(ToOwned::to_owned).collect())
    }
}

struct Walk<'a> {
    ignore: &'a dyn Fn(&str, bool) -> Verdict,
    always: &'a [&'a str],
    limits: Limits,
    bytes: u64,
    entries: BTreeMap<Key, Kind>,
}

impl Walk<'_> {
    fn directory(&mut self, dir: &Path, prefix: &str) -> Result<(), ContextError> {
        let failed = |source| io_error(if prefix.is_empty() { "the build context" } else { prefix }, source);
        for item in std::fs::read_dir(dir).map_err(failed)? {
            let item = item.map_err(failed)?;
            let name = item.file_name();
            let Some(name) = name.to_str() else {
                return Err(ContextError::Name {
                    path: format!("{prefix}{}", name.to_string_lossy()),
                });
            };
            let path = format!("{prefix}{name}");
            let kind = item.file_type().map_err(failed)?;
            let mut verdict = (self.ignore)(&path, kind.is_dir());
            if self.always.contains(&path.as_str()) {
                verdict = Verdict::Include;
            }
            let leads_to_always = || self.always.iter().any(|a| a.starts_with(&format!("{path}/")));
            if kind.is_dir() && (verdict != Verdict::Prune || leads_to_always()) {
                if verdict == Verdict::Include {
                    self.add(&path, Kind::Directory)?;
                }
                self.directory(&item.path(), &format!("{path}/"))?;
            } else if verdict == Verdict::Include {
                let kind = self.read_entry(&item, &path, kind)?;
                self.add_parents(&path);
                self.add(&path, kind)?;
            }
        }
        Ok(())
    }

    fn read_entry(
        &mut self,
        item: &std::fs::DirEntry,
        path: &str,
        kind: std::fs::FileType,
    ) -> Result<Kind, ContextError> {
        use std::os::unix::fs::FileTypeExt;
        let special = |kind| {
            Err(ContextError::Special {
                path: path.to_owned(),
                kind,
            })
        };
        if kind.is_symlink() {
            let target = std::fs::read_link(item.path()).map_err(|source| io_error(path, source))?;
            let target = target
                .to_str()
                .ok_or_else(|| ContextError::Name { path: path.to_owned() })?;
            return Ok(Kind::Symlink {
                target: target.to_owned(),
            });
        }
        if !kind.is_file() {
            return match (kind.is_socket(), kind.is_fifo()) {
                (true, _) => special("a socket"),
                (_, true) => special("a named pipe"),
                (false, false) => special("a device"),
            };
        }
        let meta = item.metadata().map_err(|source| io_error(path, source))?;
        self.bytes += meta.len();
        if self.bytes > self.limits.bytes {
            return Err(ContextError::TooLarge {
                limit: self.limits.bytes,
            });
        }
        let executable = meta.permissions().mode() & 0o111 != 0;
        Ok(Kind::File {
            size: meta.len(),
            executable,
            source: Source::Disk(item.path()),
        })
    }

    fn add(&mut self, path: &str, kind: Kind) -> Result<(), ContextError> {
        self.entries.insert(Key::of(path), kind);
        if self.entries.len() > self.limits.entries {
            return Err(ContextError::TooMany {
                limit: self.limits.entries,
            });
        }
        Ok(())
    }

    fn add_parents(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            self.entries.entry(Key::of(&path[..at])).or_insert(Kind::Directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn include_all(_: &str, _: bool) -> Verdict {
        Verdict::Include
    }

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn paths(context: &Context) -> Vec<&str> {
        context.entries.iter().map(|entry| entry.path.as_str()).collect()
    }

    fn tar(context: &Context) -> Vec<u8> {
        let mut bytes = Vec::new();
        context.write_tar(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn equal_trees_give_equal_archives() {
        let files = [("b/x", "1"), ("a.b", "2"), ("a/b", "3"), ("run", "4")];
        let mut reversed = files;
        reversed.reverse();
        let (one, two) = (tree(&files), tree(&reversed));
        for (dir, mode) in [(&one, 0o775), (&two, 0o700)] {
            fs::set_permissions(dir.path().join("run"), fs::Permissions::from_mode(mode)).unwrap();
        }
        let scan =
            |dir: &tempfile::TempDir| Context::scan(dir.path(), &include_all, &[], &[], 7, Limits::default()).unwrap();
        assert_eq!(paths(&scan(&one)), ["a", "a/b", "a.b", "b", "b/x", "run"]);
        assert_eq!(tar(&scan(&one)), tar(&scan(&two)));
        assert_eq!(scan(&one).size(), 4);
    }

    #[test]
    fn what_is_ignored_stays_and_what_is_always_sent_comes() {
        let dir = tree(&[
            ("keep", ""),
            ("out/keep", ""),
            ("out/drop", ""),
            ("gone/keep", ""),
            ("gone/Dockerfile", ""),
        ]);
        let says = |path: &str, _: bool| match path {
            "gone" => Verdict::Prune,
            path if path.ends_with("keep") => Verdict::Include,
            _ => Verdict::Ignore,
        };
        let scan = |always: &[&str]| Context::scan(dir.path(), &says, always, &[], 0, Limits::default()).unwrap();
        assert_eq!(paths(&scan(&[])), ["keep", "out", "out/keep"]);
        assert_eq!(paths(&scan(&["out/drop"])), ["keep", "out", "out/drop", "out/keep"]);
        assert!(paths(&scan(&["gone/Dockerfile"])).ends_with(&["out", "out/keep"]));
        assert!(paths(&scan(&["gone/Dockerfile"])).contains(&"gone/Dockerfile"));
    }

    #[test]
    fn replaced_and_added_files_carry_their_new_contents() {
        let dir = tree(&[("Dockerfile", "old")]);
        let replace = [
            ("Dockerfile".to_owned(), Bytes::from("new")),
            ("x/y/z".to_owned(), Bytes::from("added")),
        ];
        let context = Context::scan(dir.path(), &include_all, &[], &replace, 0, Limits::default()).unwrap();
        assert_eq!(paths(&context), ["Dockerfile", "x", "x/y", "x/y/z"]);
        let text = String::from_utf8_lossy(&tar(&context)).into_owned();
        assert!(text.contains("new") && text.contains("added") && !text.contains("old"));
    }

    #[test]
    fn limits_and_odd_files_are_named() {
        let dir = tree(&[("a", "12345"), ("b", "12345")]);
        let scan = |limits| Context::scan(dir.path(), &include_all, &[], &[], 0, limits);
        assert!(matches!(
            scan(Limits { entries: 1, bytes: 99 }),
            Err(ContextError::TooMany { limit: 1 })
        ));
        assert!(matches!(
            scan(Limits { entries: 9, bytes: 9 }),
            Err(ContextError::TooLarge { limit: 9 })
        ));
        let context = scan(Limits { entries: 2, bytes: 10 }).unwrap();
        fs::write(dir.path().join("b"), "longer than before").unwrap();
        let error = context.write_tar(&mut Vec::new()).unwrap_err();
        assert!(matches!(error, ContextError::Changed { path } if path == "b"));
        fs::remove_file(dir.path().join("b")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("b")).unwrap();
        let error = context.write_tar(&mut Vec::new()).unwrap_err();
        assert!(
            matches!(error, ContextError::Io { path, .. } if path == "b"),
            "a symlink is not followed"
        );
        fs::remove_file(dir.path().join("b")).unwrap();
        let odd: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"odd\xff");
        fs::write(dir.path().join(odd), "").unwrap();
        assert!(matches!(scan(Limits::default()), Err(ContextError::Name { .. })));
    }

    proptest! {
        /// BuildKit's receiver refuses a transfer in which a path does not come after the one before it, where `/`
        /// counts as smaller than any other byte (fsutil, `validator.go`).
        #[test]
        fn paths_come_in_the_order_buildkit_wants(paths in prop::collection::vec("[a.\\-]{1,3}(/[a.\\-]{1,3}){0,2}", 1..12)) {
            let paths: Vec<String> = paths.into_iter().filter(|p| !p.split('/').any(|c| c == "." || c == "..")).collect();
            let replace: Vec<_> = paths.iter().map(|path| (format!("f{}", path.replace('/', "/f")), Bytes::new())).collect();
            let dir = tempfile::tempdir().unwrap();
            let context = Context::scan(dir.path(), &include_all, &[], &replace, 0, Limits::default()).unwrap();
            let weigh = |path: &str| path.bytes().map(|b| if b == b'/' { 0 } else { b }).collect::<Vec<u8>>();
            let weighed: Vec<Vec<u8>> = context.entries.iter().map(|entry| weigh(&entry.path)).collect();
            prop_assert!(weighed.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
