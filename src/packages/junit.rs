//! JUnit XML to counts and names. The format has no standard; read is what its writers share: `testcase` elements at any
//! depth, with `failure`, `error` or `skipped` inside.

use crate::model::stages::test::TestReport;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// One report file is at most this large, bytes.
pub const MAX_SIZE: usize = 64 << 20;
/// Suites nest a few levels deep.
const MAX_DEPTH: usize = 64;
/// Bytes of one test's name that are kept.
const MAX_NAME: usize = 300;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JunitError {
    #[error("the report is larger than {MAX_SIZE} bytes")]
    TooLarge,
    #[error("the report nests deeper than {MAX_DEPTH} elements")]
    TooDeep,
    #[error("the report is not XML: byte {at}: {problem}")]
    Xml { at: u64, problem: String },
    #[error("the report ends too early")]
    Truncated,
    #[error("the file is no JUnit report: its root is not testsuites or testsuite")]
    NotJunit,
}

/// Reads one report. Entities are never expanded, so none can grow.
///
/// # Errors
/// When the file is not a whole JUnit report.
pub fn parse(xml: &[u8]) -> Result<TestReport, JunitError> {
    if xml.len() > MAX_SIZE {
        return Err(JunitError::TooLarge);
    }
    let text = String::from_utf8_lossy(xml);
    let mut reader = Reader::from_str(&text);
    let mut open = Vec::new();
    let mut reading = Reading::default();
    loop {
        let event = reader.read_event().map_err(|e| JunitError::Xml {
            at: reader.error_position(),
            problem: e.to_string(),
        })?;
        match event {
            Event::Start(element) => {
                reading.opened(open.is_empty(), &element)?;
                open.push(element.local_name().as_ref() == "testcase");
                if open.len() > MAX_DEPTH {
                    return Err(JunitError::TooDeep);
                }
            }
            Event::Empty(element) => {
                reading.opened(open.is_empty(), &element)?;
                if element.local_name().as_ref() == "testcase" {
                    reading.closed();
                }
            }
            Event::End(_) => {
                if open.pop() == Some(true) {
                    reading.closed();
                }
            }
            Event::Eof if !open.is_empty() => return Err(JunitError::Truncated),
            Event::Eof if !reading.seen => return Err(JunitError::NotJunit),
            Event::Eof => return Ok(reading.report),
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
}

/// Several reports as one: counts add up, names follow each other up to [`TestReport::NAMES`].
#[must_use]
pub fn merge(reports: impl IntoIterator<Item = TestReport>) -> TestReport {
    reports.into_iter().fold(TestReport::default(), |mut sum, report| {
        sum.passed += report.passed;
        sum.skipped += report.skipped;
        sum.failed_count += report.failed_count;
        sum.failed.extend(report.failed);
        sum.failed.truncate(TestReport::NAMES);
        sum
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Skipped,
    Failed,
}

#[derive(Default)]
struct Reading {
    report: TestReport,
    seen: bool,
    suite: String,
    case: Option<(String, Verdict)>,
}

impl Reading {
    fn opened(&mut self, root: bool, element: &BytesStart<'_>) -> Result<(), JunitError> {
        let name = element.local_name();
        match name.as_ref() {
            "testsuites" | "testsuite" => {
                self.seen = true;
                self.suite = attribute(element, "name").unwrap_or_default();
            }
            _ if root => return Err(JunitError::NotJunit),
            "testcase" => {
                let name = attribute(element, "name").unwrap_or_default();
                let class = attribute(element, "classname").filter(|class| !class.is_empty());
                let name = class.map_or_else(|| name.clone(), |class| format!("{class}.{name}"));
                self.case = Some((name, Verdict::Passed));
            }
            "failure" | "error" => match &mut self.case {
                Some((_, verdict)) => *verdict = Verdict::Failed,
                // Some writers put what broke a whole suite beside its cases.
                None => self.fail(self.suite.clone()),
            },
            "skipped" => {
                if let Some((_, verdict @ Verdict::Passed)) = &mut self.case {
                    *verdict = Verdict::Skipped;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn closed(&mut self) {
        match self.case.take() {
            Some((_, Verdict::Passed)) => self.report.passed += 1,
            Some((_, Verdict::Skipped)) => self.report.skipped += 1,
            Some((name, Verdict::Failed)) => self.fail(name),
            None => {}
        }
    }

    fn fail(&mut self, name: String) {
        self.report.failed_count += 1;
        if self.report.failed.len() < TestReport::NAMES {
            self.report.failed.push(name.chars().take(MAX_NAME).collect());
        }
    }
}

/// Unknown entities stay as they are written.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element
        .attributes()
        .with_checks(false)
        .flatten()
        .find(|a| a.key.as_ref() == name)?;
    let raw = attribute.value;
    let value = quick_xml::escape::unescape(&raw).map(std::borrow::Cow::into_owned);
    Some(value.unwrap_or_else(|_| raw.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(xml: &str) -> TestReport {
        parse(xml.as_bytes()).unwrap()
    }

    #[test]
    fn nested_suites_are_counted() {
        let got = report(
            r#"<?xml version="1.0"?><testsuites><testsuite name="s"><testsuite name="inner">
            <testcase classname="A" name="ok"/><testcase classname="A" name="ok too"><system-out>x &lt; <![CDATA[<failure>]]></system-out></testcase>
            <testcase classname="A" name="no &amp; never"><failure message="m">trace</failure></testcase>
            <testcase name="err"><error/><skipped/></testcase></testsuite>
            <testcase name="skip"><skipped/></testcase></testsuite></testsuites>"#,
        );
        assert_eq!((got.passed, got.skipped, got.failed_count), (2, 1, 2));
        assert_eq!(got.failed, ["A.no & never", "err"]);
    }

    #[test]
    fn what_breaks_a_whole_suite_is_a_failure() {
        let got = report(r#"<testsuite name="boot"><error>no database</error><testcase name="a"/></testsuite>"#);
        assert_eq!((got.passed, got.failed), (1, vec!["boot".to_owned()]));
    }

    #[test]
    fn reports_are_merged_and_names_bounded() {
        let many = "<testcase name='t'><failure/></testcase>".repeat(40);
        let one = report(&format!("<testsuite>{many}</testsuite>"));
        let sum = merge([one.clone(), one, report("<testsuites/>")]);
        assert_eq!((sum.failed_count, sum.failed.len()), (80, TestReport::NAMES));
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let said = |xml: &[u8]| parse(xml).unwrap_err().to_string();
        insta::assert_snapshot!(said(b""), @"the file is no JUnit report: its root is not testsuites or testsuite");
        insta::assert_snapshot!(said(b"<html/>"), @"the file is no JUnit report: its root is not testsuites or testsuite");
        insta::assert_snapshot!(said(b"<testsuite><testcase name='a'>"), @"the report ends too early");
        insta::assert_snapshot!(said("<testsuite>".repeat(65).as_bytes()), @"the report nests deeper than 64 elements");
        assert!(matches!(
            parse(b"<testsuite></testcase></testsuite>"),
            Err(JunitError::Xml { .. })
        ));
        assert_eq!(parse(&vec![b' '; MAX_SIZE + 1]), Err(JunitError::TooLarge));
    }

    #[test]
    fn entities_do_not_grow() {
        let bomb = r#"<!DOCTYPE t [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><testsuite><testcase name="&b;"><failure>&b;</failure></testcase></testsuite>"#;
        assert_eq!(report(bomb).failed, ["&b;"]);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(xml in "(<testsuite>|<testcase name='a'>|</testcase>|<failure/>|</testsuite>|&x;|<![CDATA[|]]>|.){0,20}") {
            let _ = parse(xml.as_bytes());
        }
    }
}
