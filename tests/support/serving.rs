//! A server in a process of its own: lowtide itself, or another program. Its log on stderr is read as it comes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Serving {
    child: Child,
    lines: Receiver<String>,
    log: String,
}

impl Serving {
    /// `look` is called with each line of the log, while it goes on.
    pub(crate) fn start(mut command: Command, mut look: impl FnMut(&str) + Send + 'static) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (line, lines) = channel();
        std::thread::spawn(move || {
            for text in stderr.lines().map_while(Result::ok) {
                look(&text);
                // The rest of the log is read though nobody waits for it: a full pipe would stop the server.
                let _ = line.send(text);
            }
        });
        Self {
            child,
            lines,
            log: String::new(),
        }
    }

    /// A line that was or is to come.
    pub(crate) fn said(&mut self, words: &str) -> String {
        match self.log.lines().find(|line| line.contains(words)) {
            Some(line) => line.to_owned(),
            None => self.says(words),
        }
    }

    /// Waits for a line of the log; lines before it are past.
    pub(crate) fn says(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("it never said {words:?}:\n{}", self.log);
            };
            self.log.push_str(&line);
            self.log.push('\n');
            if line.contains(words) {
                return line;
            }
        }
    }

    /// SIGTERM; the whole log.
    pub(crate) fn end(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        let rest: Vec<String> = self.lines.iter().collect();
        std::mem::take(&mut self.log) + &rest.join("\n")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
