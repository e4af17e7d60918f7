//! What a container of a test has written: JUnit files, of which counts and names are reported, and artefacts, which are stored.

use super::build;
use super::environment::{Stop, TestEnvironment};
use super::stage_log::{StageLog, private_file};
use crate::clients::engine::archive::{ArchiveBounds, ArchiveError, ArchivedFile};
use lowtide_model::failure::{Failure, FailureKind, Finding};
use lowtide_model::hide::masked;
use lowtide_model::secret::Secret;
use lowtide_model::stages::test::{FailedTest, TestReport};
use std::io::Write;
use std::path::{Component, Path, PathBuf};

/// Reads one JUnit file.
pub type ParseReport = &'static (dyn Fn(&[u8]) -> Result<TestReport, String> + Send + Sync);

/// Bytes read out of a container for reports or for one artefact pattern, and files stored of it.
pub(super) const FILES: ArchiveBounds = ArchiveBounds {
    stream: 64 << 20,
    files: 2_000,
};

/// Where the files of a container are looked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) container: &'a str,
    /// Glob of JUnit files.
    pub(super) junit: Option<&'a str>,
    pub(super) artefacts: &'a [String],
    /// Below the run's artefacts.
    pub(super) folder: &'a str,
}

/// `None`: no JUnit files are requested.
///
/// # Errors
/// `TestReportInvalid` where there is none, or one that cannot be read, or no test in them.
pub(super) async fn report(
    environment: &TestEnvironment<'_>,
    wanted: Wanted<'_>,
    parse: ParseReport,
) -> Result<Option<TestReport>, Stop> {
    let Some(pattern) = wanted.junit else {
        return Ok(None);
    };
    let invalid = |detail: String| Failure::new(FailureKind::TestReportInvalid, detail);
    let read = environment.engine.files(wanted.container, pattern, FILES);
    let files = match environment.unless_cancelled(read).await? {
        Ok(files) => files,
        Err(ArchiveError::Engine(e)) => return Err(e.into()),
        Err(e) => return Err(invalid(e.to_string()).into()),
    };
    if files.is_empty() {
        return Err(invalid(format!("no file matches {pattern}")).into());
    }
    let parsed = build::aside(move || {
        let mut whole = TestReport::default();
        for file in files {
            let invalid = |why: String| Failure::new(FailureKind::TestReportInvalid, format!("{}: {why}", file.path));
            add(&mut whole, parse(&file.bytes).map_err(invalid)?);
        }
        Ok(whole)
    });
    let whole = parsed.await?;
    if whole.passed + whole.failed_count + whole.skipped == 0 {
        return Err(invalid(format!("{pattern}: not one test was run")).into());
    }
    Ok(Some(whole))
}

/// Best effort, and also after a failure: that is when artefacts are wanted.
pub(super) async fn store_artefacts(environment: &TestEnvironment<'_>, wanted: Wanted<'_>, log: &mut StageLog<'_>) {
    let junit = wanted.junit.map(ToOwned::to_owned);
    for pattern in wanted.artefacts.iter().chain(&junit) {
        let read = environment.engine.files(wanted.container, pattern, FILES);
        let Ok(files) = environment.unless_cancelled(read).await else {
            return;
        };
        let stored = match files {
            Ok(files) => store_all(environment, wanted.folder, files).await,
            Err(error) => Err(Failure::new(FailureKind::TestReportInvalid, error.to_string())),
        };
        if let Err(failure) = stored {
            log.note(&format!("{pattern} was not kept: {}", failure.detail));
        }
    }
}

/// Stores files below a folder of the run's artefacts.
///
/// # Errors
/// As our own disk fails.
pub(super) async fn store_all(
    environment: &TestEnvironment<'_>,
    folder: &str,
    files: Vec<ArchivedFile>,
) -> Result<(), Failure> {
    let folder = environment.work.join("artefacts").join(folder);
    let secrets = environment.hidden.secrets();
    let store_all = move || files.iter().try_for_each(|file| store(&folder, file, &secrets));
    build::aside(move || store_all().map_err(|e| Failure::local("an artefact", &e))).await
}

/// Both together; `None`: neither wrote one.
pub(super) fn together(one: Option<TestReport>, other: Option<TestReport>) -> Option<TestReport> {
    match (one, other) {
        (Some(mut whole), Some(part)) => {
            add(&mut whole, part);
            Some(whole)
        }
        (one, other) => one.or(other),
    }
}

fn add(whole: &mut TestReport, part: TestReport) {
    whole.passed += part.passed;
    whole.skipped += part.skipped;
    whole.failed_count += part.failed_count;
    let room = TestReport::NAMES.saturating_sub(whole.failed.len());
    whole.failed.extend(part.failed.into_iter().take(room));
}

/// Names first, with the first lines of their messages as far as there is room, then as much of the log as still fits.
pub(super) fn tests_failed(what: &str, report: Option<&TestReport>, mut log: Vec<String>) -> Failure {
    let Some(report) = report.filter(|r| r.failed_count > 0) else {
        return Failure::new(FailureKind::TestFailed, what).with_excerpt(log);
    };
    const NAMED: usize = Failure::EXCERPT_LINES / 2;
    let named = report.failed.len().min(NAMED);
    // Every name comes before any message.
    let mut room = NAMED - named;
    let mut lines: Vec<String> = Vec::new();
    for failed in report.failed.iter().take(named) {
        lines.push(format!("failed: {}", failed.name));
        let said = failed.message.len().min(room);
        room -= said;
        lines.extend(failed.message.iter().take(said).map(|line| format!("  {line}")));
    }
    if report.failed_count > named {
        lines.push(format!("and {} more", report.failed_count - named));
    }
    let surplus = (log.len() + lines.len()).saturating_sub(Failure::EXCERPT_LINES);
    log.drain(..surplus.min(log.len()));
    lines.append(&mut log);
    let all = report.passed + report.failed_count + report.skipped;
    let detail = format!("{what}; {} of {all} tests failed", report.failed_count);
    Failure::new(FailureKind::TestFailed, detail)
        .with_excerpt(lines)
        .with_findings(report.failed.iter().filter_map(finding))
}

/// Its path is the report's; [`super::findings`] looks for it in the commit.
fn finding(failed: &FailedTest) -> Option<Finding> {
    let place = failed.place.as_ref()?;
    Some(Finding {
        path: place.file.clone(),
        line: place.line,
        title: failed.name.clone(),
        message: failed.message.clone(),
    })
}

/// Text is kept without secrets; in anything else a replaced byte would break the file.
fn store(folder: &Path, file: &ArchivedFile, secrets: &[Secret]) -> std::io::Result<()> {
    let inside: PathBuf = Path::new(&file.path)
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    let path = folder.join(inside);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut out = private_file(&path)?;
    match std::str::from_utf8(&file.bytes) {
        Ok(text) => out.write_all(masked(text, secrets).as_bytes()),
        Err(_) => out.write_all(&file.bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(failed: usize) -> TestReport {
        TestReport {
            passed: 3,
            skipped: 1,
            failed: (0..failed.min(TestReport::NAMES))
                .map(|n| FailedTest {
                    name: format!("suite.case{n}"),
                    message: Vec::new(),
                    place: None,
                })
                .collect(),
            failed_count: failed,
        }
    }

    #[test]
    fn failing_tests_are_named_before_the_log() {
        let failure = tests_failed(
            "exec /run exited with 1",
            Some(&report(2)),
            vec!["last line".to_owned()],
        );
        insta::assert_snapshot!(failure, @"tests failed: exec /run exited with 1; 2 of 6 tests failed");
        assert_eq!(
            failure.excerpt,
            ["failed: suite.case0", "failed: suite.case1", "last line"]
        );
    }

    #[test]
    fn what_a_failing_test_says_follows_its_name_where_there_is_room() {
        let mut two = report(2);
        two.failed[0].message = vec!["expected 200".to_owned(), "got 500".to_owned()];
        let failure = tests_failed("x", Some(&two), vec!["last line".to_owned()]);
        assert_eq!(
            failure.excerpt,
            [
                "failed: suite.case0",
                "  expected 200",
                "  got 500",
                "failed: suite.case1",
                "last line"
            ]
        );
        let mut many = report(18);
        for failed in &mut many.failed {
            failed.message = vec!["why".to_owned(); FailedTest::LINES];
        }
        let failure = tests_failed("x", Some(&many), Vec::new());
        let names = failure
            .excerpt
            .iter()
            .filter(|line| line.starts_with("failed: "))
            .count();
        assert_eq!((names, failure.excerpt.len()), (18, 20), "{:?}", failure.excerpt);
    }

    #[test]
    fn an_excerpt_never_loses_its_names() {
        let log: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let failure = tests_failed("x", Some(&report(70)), log);
        assert_eq!(failure.excerpt.len(), Failure::EXCERPT_LINES);
        assert_eq!(failure.excerpt[0], "failed: suite.case0");
        assert_eq!(failure.excerpt[20], "and 50 more");
        assert_eq!(failure.excerpt[39], "99");
    }

    #[test]
    fn reports_add_up_within_bounds() {
        let mut whole = report(40);
        add(&mut whole, report(40));
        assert_eq!(
            (whole.passed, whole.failed_count, whole.failed.len()),
            (6, 80, TestReport::NAMES)
        );
    }

    #[test]
    fn artefacts_stay_in_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = ArchivedFile {
            path: "/../../a/./b.txt".to_owned(),
            bytes: b"x".to_vec(),
        };
        store(folder.path(), &file, &[]).unwrap();
        assert!(folder.path().join("a/b.txt").is_file());
    }
}
