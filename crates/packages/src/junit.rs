//! JUnit XML to counts and names. The format has no standard; read is what its writers share: `testcase` elements at any
//! depth, with `failure`, `error` or `skipped` inside.

use lowtide_model::stages::test::{FailedTest, TestPlace, TestReport};
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};

/// One report file is at most this large, bytes.
pub const MAX_SIZE: usize = 64 << 20;
/// Suites nest a few levels deep.
const MAX_DEPTH: usize = 64;
/// Characters of one test's name that are stored.
const MAX_NAME: usize = 300;
/// Characters of one line of a message that are stored.
const MAX_LINE: usize = 300;
/// Bytes of a failure's text that are looked at for its first lines.
const MAX_TEXT: usize = 16 << 10;

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
    let mut suites = ReportReader::default();
    loop {
        let event = reader.read_event().map_err(|e| JunitError::Xml {
            at: reader.error_position(),
            problem: e.to_string(),
        })?;
        match event {
            Event::Start(element) => {
                suites.opened(open.is_empty(), &element)?;
                suites.began(&element, open.len());
                open.push(element.local_name().as_ref() == "testcase");
                if open.len() > MAX_DEPTH {
                    return Err(JunitError::TooDeep);
                }
            }
            Event::Empty(element) => {
                suites.opened(open.is_empty(), &element)?;
                suites.end_orphan();
                if element.local_name().as_ref() == "testcase" {
                    suites.closed();
                }
            }
            Event::End(_) => {
                let testcase = open.pop() == Some(true);
                suites.ended(open.len());
                if testcase {
                    suites.closed();
                }
            }
            Event::Eof if !open.is_empty() => return Err(JunitError::Truncated),
            Event::Eof if !suites.seen => return Err(JunitError::NotJunit),
            Event::Eof => return Ok(suites.report),
            Event::Text(text) => suites.text(&text),
            Event::CData(text) => suites.text(&text),
            Event::GeneralRef(entity) => match entity.resolve_char_ref() {
                Ok(Some(c)) => suites.text(c.encode_utf8(&mut [0; 4])),
                Ok(None) | Err(_) => match resolve_xml_entity(&entity) {
                    Some(text) => suites.text(text),
                    None => suites.text(&format!("&{};", &*entity)),
                },
            },
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
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
struct ReportReader {
    report: TestReport,
    seen: bool,
    suite: String,
    case: Option<(String, Verdict)>,
    /// Of the open case.
    place: Option<TestPlace>,
    /// A failure that is open and belongs to no case: its suite's name.
    orphan: Option<String>,
    /// Of the failures of the open case.
    message: Message,
}

/// The first failure of a test, as far as it was read.
#[derive(Default)]
struct Message {
    attribute: String,
    text: String,
    /// Elements that are open around the failure whose text is read; `None`: none is.
    depth: Option<usize>,
}

impl Message {
    /// The attribute's lines, then those of the text that say something new: writers put a summary into one of the two,
    /// and often the test's own name before it.
    fn lines(self, name: &str) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for line in self.attribute.lines().chain(self.text.lines()) {
            let line: String = line.trim_end().chars().take(MAX_LINE).collect();
            let words = line.trim();
            let known = || lines.iter().any(|known| known.trim().contains(words));
            if !words.is_empty() && !name.contains(words) && !known() {
                lines.push(line);
            }
            if lines.len() == FailedTest::LINES {
                break;
            }
        }
        lines
    }
}

impl ReportReader {
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
                self.place = place(element);
                self.message = Message::default();
            }
            "failure" | "error" => match &mut self.case {
                Some((_, verdict)) => {
                    *verdict = Verdict::Failed;
                    if self.message.attribute.is_empty() {
                        self.message.attribute = attribute(element, "message").unwrap_or_default();
                    }
                }
                // Some writers put what broke a whole suite beside its cases.
                None => {
                    self.orphan = Some(self.suite.clone());
                    self.place = None;
                    self.message = Message {
                        attribute: attribute(element, "message").unwrap_or_default(),
                        ..Message::default()
                    };
                }
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

    /// After [`Self::opened`], of an element that has content; `depth` elements are open around it.
    fn began(&mut self, element: &BytesStart<'_>, depth: usize) {
        let failure = matches!(element.local_name().as_ref(), "failure" | "error");
        // The first one is what the others follow from.
        let first = self.message.depth.is_none() && self.message.text.is_empty();
        if failure && first && (self.case.is_some() || self.orphan.is_some()) {
            self.message.depth = Some(depth);
        }
    }

    fn text(&mut self, text: &str) {
        if self.message.depth.is_some() {
            let room = MAX_TEXT.saturating_sub(self.message.text.len());
            let end = text.floor_char_boundary(room.min(text.len()));
            self.message.text.push_str(&text[..end]);
        }
    }

    /// An element has ended; `depth` are still open.
    fn ended(&mut self, depth: usize) {
        if self.message.depth == Some(depth) {
            self.message.depth = None;
            self.end_orphan();
        }
    }

    fn end_orphan(&mut self) {
        if let Some(suite) = self.orphan.take() {
            self.fail(suite);
        }
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
        let message = std::mem::take(&mut self.message).lines(&name);
        if self.report.failed.len() < TestReport::NAMES {
            let name = name.chars().take(MAX_NAME).collect();
            let place = self.place.take();
            self.report.failed.push(FailedTest { name, message, place });
        }
    }
}

/// `file` and `line`, as PHPUnit, pytest (`xunit1`) and mocha write them. A line of 0 or none is the file's beginning: pytest
/// counts from 0.
fn place(element: &BytesStart<'_>) -> Option<TestPlace> {
    let file = attribute(element, "file").filter(|file| !file.is_empty() && file.len() <= MAX_NAME)?;
    let line = attribute(element, "line").and_then(|line| line.parse().ok());
    Some(TestPlace {
        file,
        line: line.unwrap_or(1).max(1),
    })
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
        assert_eq!(names(&got), ["A.no & never", "err"]);
        assert_eq!(got.failed[0].message, ["m", "trace"]);
    }

    #[test]
    fn a_failing_test_is_placed_where_its_report_says() {
        let place = |attributes: &str| {
            let got = report(&format!(
                "<testsuite><testcase name='t' {attributes}><failure/></testcase></testsuite>"
            ));
            let place = got.failed[0].place.clone();
            place.map_or_else(|| "none".to_owned(), |place| format!("{}:{}", place.file, place.line))
        };
        assert_eq!(
            place("file='/app/tests/MenuTest.php' line='12'"),
            "/app/tests/MenuTest.php:12"
        );
        assert_eq!(place("file='tests/test_menu.py' line='0'"), "tests/test_menu.py:1");
        assert_eq!(place("file='a.js'"), "a.js:1");
        assert_eq!(place("file='a.js' line='x'"), "a.js:1");
        assert_eq!(place("file='' line='3'"), "none");
        assert_eq!(place(&format!("file='{}' line='3'", "a".repeat(301))), "none");
        let orphan = report("<testsuite name='s'><testcase name='a' file='a.js'/><error/></testsuite>");
        assert_eq!(orphan.failed[0].place, None);
    }

    #[test]
    fn what_breaks_a_whole_suite_is_a_failure() {
        let got = report(r#"<testsuite name="boot"><error>no database</error><testcase name="a"/></testsuite>"#);
        assert_eq!((got.passed, names(&got)), (1, vec!["boot"]));
        assert_eq!(got.failed[0].message, ["no database"]);
        let empty = report(r#"<testsuite name="boot"><error message="no network"/></testsuite>"#);
        assert_eq!(empty.failed[0].message, ["no network"]);
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
        let got = report(bomb);
        assert_eq!(names(&got), ["&b;"]);
        // Neither does what the message says; it says nothing that the name does not.
        assert_eq!(got.failed[0].message, Vec::<String>::new());
    }

    #[test]
    fn a_failure_says_why_in_its_first_lines() {
        let said = |case: &str| {
            report(&format!("<testsuite>{case}</testsuite>")).failed[0]
                .message
                .clone()
        };
        let pytest = r#"<testcase classname="t.A" name="b"><failure message="assert 1 == 2&#10;  where 1 = f()">def b():
            &gt;   assert f() == 2
            E   assert 1 == 2

            t.py:3: AssertionError</failure></testcase>"#;
        assert_eq!(
            said(pytest),
            [
                "assert 1 == 2",
                "  where 1 = f()",
                "def b():",
                "            >   assert f() == 2"
            ]
        );
        // PHPUnit: the text begins with the test's own name, and there is no attribute.
        let phpunit = "<testcase class='MenuTest' classname='MenuTest' name='MenuTest::home'><failure type='E'>MenuTest::home\n\
                       Failed asserting that 500 matches expected 200.\n\n/app/MenuTest.php:12</failure></testcase>";
        assert_eq!(
            said(phpunit),
            [
                "Failed asserting that 500 matches expected 200.",
                "/app/MenuTest.php:12"
            ]
        );
        // Go: the attribute is a word of its own.
        let go = "<testcase name='T'><failure message='Failed'><![CDATA[x_test.go:5: got <1>, want 2]]></failure></testcase>";
        assert_eq!(said(go), ["Failed", "x_test.go:5: got <1>, want 2"]);
        // Output that is no failure's is none of it, nor is the second failure's text.
        let two = "<testcase name='a'><system-out>noise</system-out><failure>one</failure><error message='two'>three</error></testcase>";
        assert_eq!(said(two), ["two", "one"]);
        let passed_before = "<testcase name='a'><failure>one</failure></testcase><testcase name='b'/>";
        assert_eq!(said(passed_before), ["one"]);
        let long = format!(
            "<testcase name='a'><failure>{}</failure></testcase>",
            "ä".repeat(20_000)
        );
        assert_eq!(said(&long)[0].chars().count(), MAX_LINE);
        assert_eq!(
            said(&format!(
                "<testcase name='a'><failure>{}</failure></testcase>",
                "x\ny\nz\nu\nv\nw\n"
            ))
            .len(),
            4
        );
        assert_eq!(said("<testcase name='a'><failure/></testcase>"), Vec::<String>::new());
    }

    fn names(report: &TestReport) -> Vec<&str> {
        report.failed.iter().map(|failed| failed.name.as_str()).collect()
    }

    proptest::proptest! {
        #[test]
        fn never_panics(xml in "(<testsuite>|<testcase name='a'>|</testcase>|<failure/>|</testsuite>|&x;|<![CDATA[|]]>|.){0,20}") {
            let _ = parse(xml.as_bytes());
        }
    }
}
