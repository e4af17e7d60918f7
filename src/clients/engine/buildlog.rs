//! What a builder says while it builds: lines for people, the step that failed, signs of a stale package index.

use super::steps::{Step, Steps};
use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog};
use regex::Regex;
use std::collections::{HashMap, VecDeque};
use std::sync::LazyLock;

/// Bytes of one line that are retained; builders print whole JSON documents and progress bars without a newline.
const LINE_CAP: usize = 4096;
/// Lines kept of each step for an excerpt, one more than a mail shows.
const STEP_LINES: usize = lowtide_model::failure::Failure::EXCERPT_LINES;

/// The step that failed, as far as the builder said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailedStep {
    /// The builder's name for it.
    pub(super) name: String,
    pub(super) step: Option<Step>,
    /// Its last lines.
    pub(super) excerpt: Vec<String>,
}

/// The first sign of a stale package index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StaleIndex {
    pub(super) line: Option<u32>,
    pub(super) sign: String,
    pub(super) excerpt: Vec<String>,
}

/// Follows a build. `emit` gets each line for people.
pub(super) struct BuildLog<'a> {
    steps: &'a Steps,
    is_stale_index: fn(&str) -> bool,
    emit: &'a mut (dyn FnMut(&str) + Send),
    vertices: HashMap<String, Running>,
    /// The step under way (classic builder), or the last that spoke.
    current: Option<String>,
    failed: Option<String>,
    /// Layers the classic builder finished and has not yet made an image of.
    intermediate: Vec<String>,
    pub(super) stale: Option<StaleIndex>,
    /// Lines of the whole build, for a failure no step owns.
    last: VecDeque<String>,
}

#[derive(Default)]
struct Running {
    number: usize,
    name: String,
    step: Option<Step>,
    announced: bool,
    ended: bool,
    /// Unfinished line of stdout, stderr.
    partial: [Vec<u8>; 2],
    last: VecDeque<String>,
}

impl<'a> BuildLog<'a> {
    /// `is_stale_index`: as [`super::build::BuildRequest::is_stale_index`].
    pub(super) fn new(
        steps: &'a Steps,
        is_stale_index: fn(&str) -> bool,
        emit: &'a mut (dyn FnMut(&str) + Send),
    ) -> Self {
        let (vertices, last) = (HashMap::new(), VecDeque::new());
        Self {
            steps,
            is_stale_index,
            emit,
            vertices,
            current: None,
            failed: None,
            intermediate: Vec::new(),
            stale: None,
            last,
        }
    }

    pub(super) fn steps(&self) -> &'a Steps {
        self.steps
    }

    /// BuildKit's trace message.
    pub(super) fn buildkit(&mut self, status: StatusResponse) {
        for vertex in &status.vertexes {
            self.vertex(vertex);
        }
        for log in &status.logs {
            self.vertex_log(log);
        }
        // A vertex and its last lines may come in one message; the end goes after the lines.
        for vertex in status.vertexes.iter().filter(|vertex| vertex.completed.is_some()) {
            self.vertex_end(vertex);
        }
    }

    /// The classic builder's `stream` text. The image's id, when this line is Podman's or Docker's last word.
    pub(super) fn classic(&mut self, text: &str) -> Option<String> {
        static STEP: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"(?i)^(?:\[\d+/\d+\] )?step (\d+)/\d+ ?: (.*)$").ok());
        let mut image = None;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let line = shown(line.as_bytes());
            if let Some(found) = STEP.as_ref().and_then(|step| step.captures(&line)) {
                let number = found[1].parse().unwrap_or(0);
                let step = self.steps.classic(number, &found[2]).cloned();
                let running = Running {
                    number,
                    name: line.clone(),
                    step,
                    announced: true,
                    ..Running::default()
                };
                self.vertices.insert(line.clone(), running);
                self.current = Some(line.clone());
                self.say(&line);
                continue;
            }
            if let Some(layer) = line.strip_prefix(" ---> ").filter(|id| is_short_id(id)) {
                self.layer(layer);
            }
            if let Some(id) = line.strip_prefix("Successfully built ") {
                self.intermediate.clear();
                image = Some(id.trim().to_owned());
            }
            self.say(&line);
            let narration = line.starts_with(" ---> ") || line.starts_with("Removing intermediate container ");
            if let Some(current) = self.current.clone().filter(|_| !narration) {
                self.output(&current, line);
            }
        }
        image
    }

    /// A line of our own.
    pub(super) fn note(&mut self, line: &str) {
        self.say(line);
    }

    /// Layers that a classic build which came to no image leaves behind, oldest first.
    pub(super) fn intermediate(&mut self) -> Vec<String> {
        std::mem::take(&mut self.intermediate)
    }

    /// The step that failed: the one BuildKit marked, or the one the classic builder was at.
    pub(super) fn failed(&mut self) -> Option<FailedStep> {
        self.flush();
        let key = self.failed.as_ref().or(self.current.as_ref())?;
        let running = self.vertices.get(key)?;
        let mut excerpt: Vec<String> = running.last.iter().cloned().collect();
        if excerpt.is_empty() {
            excerpt = self.last.iter().cloned().collect();
        }
        Some(FailedStep {
            name: running.name.clone(),
            step: running.step.clone(),
            excerpt,
        })
    }

    /// The step that had started and not ended: where a build that ran out of time hung.
    pub(super) fn unfinished(&mut self) -> Option<FailedStep> {
        self.flush();
        let open = self
            .vertices
            .values()
            .filter(|running| running.announced && !running.ended);
        let last = open.max_by_key(|running| running.number)?;
        let (name, step) = (last.name.clone(), last.step.clone());
        Some(FailedStep {
            name,
            step,
            excerpt: last.last.iter().cloned().collect(),
        })
    }

    /// The last lines of all.
    pub(super) fn excerpt(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }

    fn layer(&mut self, id: &str) {
        let current = self.current.as_ref().and_then(|name| self.vertices.get(name));
        // What FROM names is the base, never ours.
        if current
            .and_then(|running| running.step.as_ref())
            .is_some_and(|step| step.keyword != "FROM")
        {
            self.intermediate.push(id.to_owned());
        }
    }

    fn vertex(&mut self, vertex: &Vertex) {
        let number = self.vertices.len() + 1;
        let running = self.vertices.entry(vertex.digest.clone()).or_insert_with(|| Running {
            number,
            name: vertex.name.clone(),
            step: self.steps.buildkit(&vertex.name).cloned(),
            ..Running::default()
        });
        if vertex.started.is_some() && !running.announced {
            running.announced = true;
            let line = format!("#{} {}", running.number, vertex.name);
            self.say(&line);
        }
    }

    fn vertex_log(&mut self, log: &VertexLog) {
        let Some(running) = self.vertices.get_mut(&log.vertex) else {
            return;
        };
        let number = running.number;
        let partial = &mut running.partial[usize::from(log.stream != 1)];
        let mut lines = Vec::new();
        for piece in log.msg.split_inclusive(|byte| *byte == b'\n') {
            let (text, whole) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            let room = LINE_CAP.saturating_sub(partial.len());
            partial.extend_from_slice(&text[..text.len().min(room)]);
            if whole {
                lines.push(shown(&std::mem::take(partial)));
            }
        }
        for line in lines {
            self.say(&format!("#{number} {line}"));
            self.output(&log.vertex, line);
        }
    }

    fn vertex_end(&mut self, vertex: &Vertex) {
        self.flush_vertex(&vertex.digest);
        let Some(running) = self.vertices.get_mut(&vertex.digest) else {
            return;
        };
        if std::mem::replace(&mut running.ended, true) {
            return;
        }
        let number = running.number;
        let end = match (vertex.error.as_str(), vertex.cached) {
            ("", true) => "CACHED".to_owned(),
            ("", false) => "done".to_owned(),
            // The others were stopped because of the one that failed.
            (error, _) if error.contains("context canceled") => "stopped".to_owned(),
            (error, _) => {
                self.failed.get_or_insert_with(|| vertex.digest.clone());
                format!("ERROR: {}", shown(error.as_bytes()))
            }
        };
        self.say(&format!("#{number} {end}"));
    }

    fn flush(&mut self) {
        let open: Vec<String> = self.vertices.keys().cloned().collect();
        for vertex in open {
            self.flush_vertex(&vertex);
        }
    }

    fn flush_vertex(&mut self, vertex: &str) {
        for stream in 0..2 {
            let Some(running) = self.vertices.get_mut(vertex) else {
                return;
            };
            let rest = std::mem::take(&mut running.partial[stream]);
            if !rest.is_empty() {
                let number = running.number;
                let line = shown(&rest);
                self.say(&format!("#{number} {line}"));
                self.output(vertex, line);
            }
        }
    }

    fn say(&mut self, line: &str) {
        push_capped(&mut self.last, line.to_owned());
        (self.emit)(line);
    }

    /// A line that a step's command wrote.
    fn output(&mut self, vertex: &str, line: String) {
        let Some(running) = self.vertices.get_mut(vertex) else {
            return;
        };
        let stale = self.stale.is_none() && (self.is_stale_index)(&line);
        push_capped(&mut running.last, line.clone());
        if stale {
            let excerpt = running.last.iter().cloned().collect();
            self.stale = Some(StaleIndex {
                line: running.step.as_ref().map(|step| step.line),
                sign: line,
                excerpt,
            });
        }
    }
}

fn push_capped(lines: &mut VecDeque<String>, line: String) {
    if lines.len() == STEP_LINES {
        lines.pop_front();
    }
    lines.push_back(line);
}

fn is_short_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A line as a terminal would end up showing it: what follows the last carriage return, without control characters.
fn shown(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.rsplit(|byte| *byte == b'\r').next().unwrap_or(line);
    let text = String::from_utf8_lossy(&line[..line.len().min(LINE_CAP)]);
    let mut out = String::with_capacity(text.len());
    let mut escape = false;
    for c in text.chars() {
        match c {
            '\u{1b}' => escape = true,
            // A CSI sequence ends with a letter.
            c if escape => escape = !c.is_ascii_alphabetic(),
            '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_what_a_terminal_would_show() {
        for (raw, line) in [
            ("  10%\r  50%\r 100%", " 100%"),
            ("windows line\r", "windows line"),
            ("\u{1b}[1;31mred\u{1b}[0m plain", "red plain"),
            ("tab\there\u{7}", "tab\there"),
        ] {
            assert_eq!(shown(raw.as_bytes()), line);
        }
    }

    fn vertex(digest: &str, name: &str, ends: Option<&str>) -> Vertex {
        Vertex {
            digest: digest.into(),
            name: name.into(),
            started: Some(bollard_buildkit_proto::google::protobuf::Timestamp::default()),
            completed: ends.map(|_| bollard_buildkit_proto::google::protobuf::Timestamp::default()),
            error: ends.unwrap_or_default().into(),
            ..Vertex::default()
        }
    }

    fn log(vertex: &str, stream: i64, text: &[u8]) -> VertexLog {
        VertexLog {
            vertex: vertex.into(),
            stream,
            msg: text.to_vec(),
            ..VertexLog::default()
        }
    }

    #[test]
    fn parallel_steps_are_reported_apart() {
        let steps = Steps::parse("FROM a AS one\nRUN x\nFROM b AS two\nRUN y\n");
        let mut emitted = String::new();
        let mut emit = |line: &str| emitted.push_str(&format!("{line}\n"));
        let mut follow = BuildLog::new(&steps, |line| line.starts_with("W: "), &mut emit);
        follow.buildkit(StatusResponse {
            vertexes: vec![
                vertex("1", "[one 2/2] RUN x", None),
                vertex("2", "[two 2/2] RUN y", None),
            ],
            logs: vec![
                log("1", 1, b"from x, "),
                log("2", 2, b"W: Failed to fetch it\nhalf"),
                log("1", 1, b"one line\n"),
            ],
            ..StatusResponse::default()
        });
        follow.buildkit(StatusResponse {
            vertexes: vec![
                vertex("1", "[one 2/2] RUN x", Some("context canceled")),
                vertex("2", "[two 2/2] RUN y", Some("exit code: 1")),
            ],
            ..StatusResponse::default()
        });
        let failed = follow.failed().unwrap();
        assert_eq!(failed.step.unwrap().line, 4);
        assert_eq!(failed.excerpt, ["W: Failed to fetch it", "half"]);
        assert_eq!(follow.stale.as_ref().unwrap().line, Some(4));
        insta::assert_snapshot!(emitted, @r"
        #1 [one 2/2] RUN x
        #2 [two 2/2] RUN y
        #2 W: Failed to fetch it
        #1 from x, one line
        #1 stopped
        #2 half
        #2 ERROR: exit code: 1
        ");
    }

    proptest! {
        #[test]
        fn lines_are_whole_however_they_are_cut(text in "[a-zé]{0,20}(\n[a-zé]{0,20}){0,8}", cuts in prop::collection::vec(1_usize..7, 0..60)) {
            let steps = Steps::default();
            let mut emitted = Vec::new();
            let mut emit = |line: &str| emitted.push(line.to_owned());
            let mut follow = BuildLog::new(&steps, |_| false, &mut emit);
            follow.buildkit(StatusResponse { vertexes: vec![vertex("1", "x", None)], ..StatusResponse::default() });
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                follow.buildkit(StatusResponse { logs: vec![log("1", 1, piece)], ..StatusResponse::default() });
                rest = after;
            }
            follow.buildkit(StatusResponse { logs: vec![log("1", 1, rest)], ..StatusResponse::default() });
            follow.flush();
            let expected: Vec<String> = text.split_terminator('\n').map(|line| format!("#1 {line}").trim_end().to_owned()).collect();
            let emitted: Vec<String> = emitted[1..].iter().map(|line| line.trim_end().to_owned()).collect();
            prop_assert_eq!(emitted, expected);
        }
    }
}
