//! Decides whether a repository's `Release` file can be trusted now, and which of its index files a source needs. apt's
//! rules: apt-secure(8), sources.list(5), Debian wiki "RepositoryFormat".

use jiff::{SignedDuration, Timestamp};
use lowtide_apt::release::{Listed, Release};
use lowtide_apt::sources::{Source, SourceOptions};

/// apt's `Acquire::Max-FutureTime` (apt.conf(5)): clocks differ by a little.
const FUTURE: SignedDuration = SignedDuration::from_secs(10);

/// Why a properly signed `Release` says nothing about today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    #[error("its Release expired on {at}: the package repository or its mirror is no longer updated")]
    Expired { at: Timestamp },
    #[error("its Release is dated {at}, which is in the future: a clock is wrong")]
    Future { at: Timestamp },
    /// The mirror lags behind, or an attacker replays an old `Release` to hide later fixes.
    #[error("its Release is of {at}, older than the one of {before} that it gave us before")]
    Older { at: Timestamp, before: Timestamp },
}

/// Until when the `Release` can be trusted; `None`: without a limit. `newest`: the date of the newest `Release` of this
/// repository that was ever trusted.
///
/// # Errors
/// See [`Disbelief`].
pub fn believe(
    release: &Release,
    options: &SourceOptions,
    newest: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<Timestamp>, Disbelief> {
    // `Check-Date: no` means that the clock cannot be trusted, so neither date is checked (sources.list(5)).
    if options.check_date == Some(false) {
        return Ok(None);
    }
    if let Some(at) = release.date {
        if at.duration_since(now) > FUTURE {
            return Err(Disbelief::Future { at });
        }
        if let Some(before) = newest.filter(|before| *before > at) {
            return Err(Disbelief::Older { at, before });
        }
    }
    match valid_until(release, options).filter(|_| options.check_valid_until != Some(false)) {
        Some(at) if at < now => Err(Disbelief::Expired { at }),
        until => Ok(until),
    }
}

/// The archive's own date, made shorter or longer by the source's options, which count from the `Release`'s date.
fn valid_until(release: &Release, options: &SourceOptions) -> Option<Timestamp> {
    let after = |seconds: Option<u64>| {
        let seconds = i64::try_from(seconds?).ok()?;
        release.date?.saturating_add(SignedDuration::from_secs(seconds)).ok()
    };
    let until = match (release.valid_until, after(options.valid_until_max)) {
        (Some(until), Some(at_most)) => Some(until.min(at_most)),
        (until, at_most) => until.or(at_most),
    };
    // `valid_until_min` only extends a limit that exists.
    until.map(|until| after(options.valid_until_min).map_or(until, |at_least| until.max(at_least)))
}

/// One `Packages` file of a suite.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexFile {
    /// Empty for a flat archive.
    pub component: String,
    /// Empty for a flat archive, whose one index is for all.
    pub architecture: String,
    /// Relative to the `Release`, without the compression suffix.
    pub path: String,
}

/// The index files that a source needs, and what its repository does not offer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    pub files: Vec<IndexFile>,
    /// For people. apt warns about these and continues without them.
    pub skipped: Vec<String>,
}

/// `architectures`: what the source is to be read for, without `all`.
#[must_use]
pub fn select(release: &Release, source: &Source, architectures: &[String]) -> Selection {
    let mut selection = Selection::default();
    if source.is_flat() {
        let path = ["Packages", "./Packages"].into_iter().find(|path| lists(release, path));
        match path {
            Some(path) => selection.files.push(IndexFile {
                component: String::new(),
                architecture: String::new(),
                path: path.to_owned(),
            }),
            None => selection.skipped.push("it lists no Packages file".to_owned()),
        }
        return selection;
    }
    for architecture in architectures {
        if !release.architectures.is_empty() && !release.architectures.contains(architecture) {
            selection
                .skipped
                .push(format!("it has nothing for the architecture {architecture}"));
        }
    }
    for component in &source.components {
        if !has_component(release, component) {
            selection.skipped.push(format!("it has no component {component}"));
            continue;
        }
        // `all` has an index of its own unless the archive repeats it in the others.
        let all = (release.architectures.iter().any(|a| a == "all") && !release.no_separate_all).then_some("all");
        for architecture in architectures.iter().map(String::as_str).chain(all) {
            let path = format!("{component}/binary-{architecture}/Packages");
            if lists(release, &path) {
                selection.files.push(IndexFile {
                    component: component.clone(),
                    architecture: architecture.to_owned(),
                    path,
                });
            }
        }
    }
    selection
}

/// The entry of the `Release` for this file with this compression suffix.
#[must_use]
pub fn listed<'a>(release: &'a Release, path: &str, suffix: &str) -> Option<&'a Listed> {
    release.sha256.get(&format!("{path}{suffix}"))
}

/// Does the `Release` list the file, compressed or not? `Packages.diff/` does not count: it contains only diffs.
fn lists(release: &Release, path: &str) -> bool {
    let range = release.sha256.range(path.to_owned()..);
    let mut rests = range.map_while(|(found, _)| found.strip_prefix(path));
    rests.any(|rest| rest.is_empty() || (rest.starts_with('.') && !rest.contains('/')))
}

/// Old security repositories list `updates/main` for the component that sources call `main`.
fn has_component(release: &Release, component: &str) -> bool {
    let has =
        |has: &String| has == component || has.strip_suffix(component).is_some_and(|before| before.ends_with('/'));
    release.components.is_empty() || release.components.iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_apt::sources;

    const DATE: &str = "Date: Sat, 11 Jul 2026 10:00:00 UTC\n";
    const UNTIL: &str = "Valid-Until: Sat, 18 Jul 2026 10:00:00 UTC\n";

    fn release(text: &str) -> Release {
        Release::parse(text).unwrap()
    }

    fn source(line: &str) -> Source {
        let mut all = sources::parse(line.as_bytes(), "etc/apt/sources.list", "amd64").unwrap();
        all.remove(0)
    }

    #[test]
    fn dates_decide_as_for_apt() {
        let both = format!("{DATE}{UNTIL}");
        let day = |day: &str| format!("2026-07-{day}T10:00:00Z").parse::<Timestamp>().unwrap();
        let soon = day("11") - SignedDuration::from_secs(9);
        for (text, options, newest, now, believed) in [
            (&both, "", None, day("18"), "yes"),
            (&both, "", None, day("18") + SignedDuration::from_secs(1), "expired"),
            (&both, "check-valid-until=no", None, day("30"), "yes"),
            (&both, "check-date=no", None, day("30"), "yes"),
            (&both, "valid-until-min=864000", None, day("20"), "yes"),
            (&both, "valid-until-min=864000", None, day("22"), "expired"),
            (&both, "valid-until-max=86400", None, day("12"), "yes"),
            (&both, "valid-until-max=86400", None, day("13"), "expired"),
            (&DATE.to_owned(), "", None, day("30"), "yes"),
            (&DATE.to_owned(), "valid-until-max=86400", None, day("30"), "expired"),
            (&DATE.to_owned(), "valid-until-min=86400", None, day("30"), "yes"),
            (&both, "", None, soon, "yes"),
            (&both, "", None, day("10"), "future"),
            (&both, "check-date=no", None, day("10"), "yes"),
            (&both, "", Some(day("11")), day("12"), "yes"),
            (&both, "", Some(day("12")), day("12"), "older"),
        ] {
            let source = source(&format!("deb [{options}] http://deb.example.org/debian stable main"));
            let at = |now| believe(&release(text), &source.options, newest, now);
            let said = match at(now) {
                Ok(until) => {
                    // It may be believed until then, and no longer.
                    if let Some(until) = until {
                        assert_eq!(at(until), Ok(Some(until)));
                        let later = until + SignedDuration::from_secs(1);
                        assert_eq!(at(later), Err(Disbelief::Expired { at: until }));
                    }
                    "yes"
                }
                Err(Disbelief::Expired { .. }) => "expired",
                Err(Disbelief::Future { .. }) => "future",
                Err(Disbelief::Older { .. }) => "older",
            };
            assert_eq!(said, believed, "{options} {newest:?} {now}\n{text}");
        }
    }

    /// A `Release` that lists these files.
    fn listing(head: &str, files: &[&str]) -> Release {
        let hash = "0".repeat(64);
        let lines: String = files.iter().map(|file| format!(" {hash} 1 {file}\n")).collect();
        release(&format!("{head}SHA256:\n{lines}"))
    }

    fn paths(release: &Release, line: &str, architectures: &[&str]) -> (Vec<String>, Vec<String>) {
        let architectures: Vec<String> = architectures.iter().map(|&a| a.to_owned()).collect();
        let selection = select(release, &source(line), &architectures);
        (selection.files.into_iter().map(|f| f.path).collect(), selection.skipped)
    }

    #[test]
    fn only_what_the_source_requests_and_the_archive_has() {
        let files = [
            "contrib/binary-amd64/Packages.xz",
            "main/Contents-amd64.gz",
            "main/binary-all/Packages.xz",
            "main/binary-amd64/Packages.gz",
            "main/binary-amd64/Packages.diff/Index",
            "main/binary-amd64/Release",
            "main/binary-i386/Packages",
        ];
        let debian = listing(
            "Architectures: all amd64 i386\nNo-Support-for-Architecture-all: Packages\nComponents: main contrib\n",
            &files,
        );
        let line = "deb http://deb.example.org/debian stable main contrib non-free";
        insta::assert_debug_snapshot!(paths(&debian, line, &["amd64", "riscv64"]), @r#"
        (
            [
                "main/binary-amd64/Packages",
                "contrib/binary-amd64/Packages",
            ],
            [
                "it has nothing for the architecture riscv64",
                "it has no component non-free",
            ],
        )
        "#);
        let own = listing("Architectures: all amd64\nComponents: main\n", &files);
        let (found, _) = paths(&own, "deb http://deb.example.org/ppa stable main", &["amd64"]);
        assert_eq!(found, ["main/binary-amd64/Packages", "main/binary-all/Packages"]);
    }

    #[test]
    fn flat_archives_and_components_with_slashes() {
        let flat = listing("", &["./Packages.gz", "./Release"]);
        let (found, _) = paths(&flat, "deb http://deb.example.org/flat ./", &["amd64"]);
        assert_eq!(found, ["./Packages"]);
        let (found, skipped) = paths(
            &listing("", &["Sources"]),
            "deb http://deb.example.org/flat ./",
            &["amd64"],
        );
        assert_eq!((found.len(), skipped.len()), (0, 1));
        let old = listing("Components: updates/main\n", &["main/binary-amd64/Packages.xz"]);
        let (found, _) = paths(
            &old,
            "deb http://deb.example.org/security stretch/updates main",
            &["amd64"],
        );
        assert_eq!(found, ["main/binary-amd64/Packages"]);
        let nested = listing("Components: a/b\n", &["a/b/binary-amd64/Packages"]);
        let (found, _) = paths(&nested, "deb http://deb.example.org/x stable a/b", &["amd64"]);
        assert_eq!(found, ["a/b/binary-amd64/Packages"]);
    }
}
