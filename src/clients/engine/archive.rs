//! Files out of a container: test reports and artefacts, within bounds.

use super::connect::Engine;
use super::error::EngineError;
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::StreamExt;
use globset::{GlobBuilder, GlobMatcher};
use std::io::Read;

/// One regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedFile {
    /// Absolute path inside the container.
    pub path: String,
    pub bytes: Vec<u8>,
}

/// Bounds of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveBounds {
    /// Bytes of the tar stream, files that do not match included.
    pub stream: usize,
    /// Matching files.
    pub files: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("{pattern} is not a glob of absolute paths")]
    BadGlob { pattern: String },
    #[error("{folder} holds more than {limit} bytes")]
    TooLarge { folder: String, limit: usize },
    #[error("more than {limit} files match {pattern}")]
    TooMany { pattern: String, limit: usize },
    #[error("{folder} cannot be read")]
    Unreadable {
        folder: String,
        #[source]
        source: std::io::Error,
    },
}

impl Engine {
    /// Reads the files that match `pattern` (absolute; `*`, `**`, `?`, `[…]`, `{…}`; `*` does not cross a slash). A pattern
    /// without wildcards names a file, or a folder with all that is under it. Works on stopped containers too. No such
    /// folder: no files. Links and devices are not files.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn files(
        &self,
        id: &str,
        pattern: &str,
        bounds: ArchiveBounds,
    ) -> Result<Vec<ArchivedFile>, ArchiveError> {
        let glob = Pattern::parse(pattern)?;
        let options = DownloadFromContainerOptionsBuilder::default().path(&glob.root).build();
        let mut stream = self.docker.download_from_container(id, Some(options));
        let mut tar = Vec::new();
        while let Some(chunk) = stream.next().await {
            let chunk = match chunk.map_err(|e| self.error(&glob.root, e)) {
                Ok(chunk) => chunk,
                Err(EngineError::NotFound { .. }) => return Ok(Vec::new()),
                Err(e) => return Err(e.into()),
            };
            if tar.len() + chunk.len() > bounds.stream {
                return Err(ArchiveError::TooLarge {
                    folder: glob.root,
                    limit: bounds.stream,
                });
            }
            tar.extend_from_slice(&chunk);
        }
        glob.pick(pattern, &tar, bounds.files)
    }
}

struct Pattern {
    /// What the engine is queried for: the longest part without wildcards.
    root: String,
    /// `None`: everything under the root.
    matcher: Option<GlobMatcher>,
}

impl Pattern {
    fn parse(pattern: &str) -> Result<Self, ArchiveError> {
        let bad = || ArchiveError::BadGlob {
            pattern: pattern.to_owned(),
        };
        if !pattern.starts_with('/') || pattern.contains('\0') || pattern.split('/').any(|part| part == "..") {
            return Err(bad());
        }
        let Some(wild) = pattern.find(['*', '?', '[', '{']) else {
            let root = pattern.trim_end_matches('/');
            return Ok(Self {
                root: if root.is_empty() { "/" } else { root }.to_owned(),
                matcher: None,
            });
        };
        let root = match pattern[..wild].rfind('/') {
            Some(0) | None => "/",
            Some(slash) => &pattern[..slash],
        };
        let glob = GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .map_err(|_| bad())?;
        // The trailing dot makes the engine follow a link to the folder.
        Ok(Self {
            root: format!("{}/.", root.trim_end_matches('/')),
            matcher: Some(glob.compile_matcher()),
        })
    }

    fn pick(&self, pattern: &str, tar: &[u8], limit: usize) -> Result<Vec<ArchivedFile>, ArchiveError> {
        let unreadable = |source| ArchiveError::Unreadable {
            folder: self.root.clone(),
            source,
        };
        let base = self.root.trim_end_matches('.').trim_end_matches('/');
        let mut files = Vec::new();
        for entry in tar::Archive::new(tar).entries().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            // The archive's names start with the last part of what was asked for. Where that is a dot, Podman leaves it out.
            let path = match name.split_once('/') {
                Some((".", rest)) => format!("{base}/{rest}"),
                _ if self.root.ends_with("/.") => format!("{base}/{name}"),
                Some((_, rest)) => format!("{base}/{rest}"),
                None => base.to_owned(),
            };
            if path.split('/').any(|part| part == "..") || self.matcher.as_ref().is_some_and(|m| !m.is_match(&path)) {
                continue;
            }
            if files.len() == limit {
                return Err(ArchiveError::TooMany {
                    pattern: pattern.to_owned(),
                    limit,
                });
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(unreadable)?;
            files.push(ArchivedFile { path, bytes });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_the_longest_part_without_wildcards() {
        for (pattern, root) in [
            ("/results/*.xml", "/results/."),
            ("/a/b/**/x.xml", "/a/b/."),
            ("/a/b*/c", "/a/."),
            ("/*.xml", "/."),
            ("/var/log/app.log", "/var/log/app.log"),
            ("/var/log/", "/var/log"),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().root, root, "{pattern}");
        }
        for bad in ["results/*.xml", "", "/a/../b", "/a[", "/a\0"] {
            assert!(Pattern::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hostile_archives_give_only_plain_files_inside() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |name: &str, kind: tar::EntryType, body: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(kind);
            header.set_size(body.len() as u64);
            header.set_cksum();
            builder.append(&header, body).unwrap();
        };
        add("./a.xml", tar::EntryType::Regular, b"1");
        add("./deep/b.xml", tar::EntryType::Regular, b"2");
        add("./../../etc/x.xml", tar::EntryType::Regular, b"3");
        add("./link.xml", tar::EntryType::Symlink, b"");
        add("./other.txt", tar::EntryType::Regular, b"4");
        let tar = builder.into_inner().unwrap();
        let names = |pattern: &str| -> Vec<String> {
            let files = Pattern::parse(pattern).unwrap().pick(pattern, &tar, 9).unwrap();
            files.into_iter().map(|f| f.path).collect()
        };
        assert_eq!(names("/r/*.xml"), ["/r/a.xml"]);
        assert_eq!(names("/r/**/*.xml"), ["/r/a.xml", "/r/deep/b.xml"]);
        assert!(Pattern::parse("/r/**").unwrap().pick("/r/**", &tar, 1).is_err());
    }

    /// Docker and Podman name what is in a folder that was asked for with a dot each in their own way.
    #[test]
    fn names_with_and_without_a_dot_are_the_same() {
        for names in [["./a.xml", "./deep/b.xml"], ["a.xml", "deep/b.xml"]] {
            let mut builder = tar::Builder::new(Vec::new());
            for name in names {
                let mut header = tar::Header::new_gnu();
                header.set_size(1);
                header.set_cksum();
                builder.append_data(&mut header, name, &b"1"[..]).unwrap();
            }
            let tar = builder.into_inner().unwrap();
            let files = Pattern::parse("/r/**/*.xml").unwrap().pick("", &tar, 9).unwrap();
            let found: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
            assert_eq!(found, ["/r/a.xml", "/r/deep/b.xml"], "{names:?}");
        }
        // A file, or a folder with all that is in it, comes with its own name from both.
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_cksum();
        builder.append_data(&mut header, "r/a.xml", &b"1"[..]).unwrap();
        let tar = builder.into_inner().unwrap();
        let files = Pattern::parse("/r").unwrap().pick("", &tar, 9).unwrap();
        assert_eq!(files[0].path, "/r/a.xml");
    }
}
