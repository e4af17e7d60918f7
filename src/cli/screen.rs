//! Where progress is shown: rows that are drawn again and again on a terminal, plain lines elsewhere. The rows are on
//! stderr; the result goes to stdout.

use super::board::{Board, Update};
use crate::runtime::fleet_status;
use crate::runtime::progress::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lowtide_core::report::live;
use std::io::{IsTerminal, Write};
use std::sync::LazyLock;
use std::time::Duration;

/// The rows of this process. Whatever else is printed has to go around them.
static ROWS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// How long a command may take before it has to show progress; also the interval at which the spinner moves.
const AT_ONCE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Screen {
    board: Board,
    rows: Vec<ProgressBar>,
    is_live: bool,
}

impl Screen {
    /// `zone`: of the times in it.
    pub(super) fn new(zone: &str) -> Self {
        Self {
            board: Board::new(zone),
            rows: Vec::new(),
            is_live: std::io::stderr().is_terminal(),
        }
    }

    /// `prefix`: what each line begins with.
    pub(super) fn show(&mut self, progress: &Progress, prefix: &str) {
        match self.board.fold(progress, fleet_status::now()) {
            Some(Update::Change(_)) if self.is_live => {}
            Some(Update::Change(text) | Update::News(text)) => {
                text.lines().for_each(|line| log(&format!("{prefix}{line}")));
            }
            None => {}
        }
        self.draw();
    }

    /// The rows as of now.
    pub(super) fn draw(&mut self) {
        if !self.is_live {
            return;
        }
        let lines = live::rows(&self.board.rows(), fleet_status::now());
        for surplus in self.rows.drain(lines.len().min(self.rows.len())..) {
            surplus.finish_and_clear();
            ROWS.remove(&surplus);
        }
        while self.rows.len() < lines.len() {
            let style = ProgressStyle::with_template("{wide_msg}  {prefix}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
            self.rows.push(ROWS.add(ProgressBar::new_spinner().with_style(style)));
        }
        for (row, line) in self.rows.iter().zip(lines) {
            row.set_prefix(line.clock);
            row.set_message(line.text);
        }
    }
}

/// Waits for `work`. If it takes longer than [`AT_ONCE`] and stderr is a terminal, a row shows `what` is being done and for how long.
pub(super) async fn with_progress<T>(what: impl FnOnce() -> String, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(AT_ONCE, &mut work).await {
        return done;
    }
    let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}");
    let row = ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    let row = ROWS.add(row.with_message(what()));
    row.enable_steady_tick(AT_ONCE);
    let done = work.await;
    row.finish_and_clear();
    done
}

/// Prints a line on stderr, above the rows. Errors are ignored: without a reader, the work goes on.
pub(super) fn log(text: &str) {
    let _ = aside(|| writeln!(std::io::stderr(), "{text}"));
}

/// Prints while the rows are out of the way.
pub(super) fn aside<T>(print: impl FnOnce() -> T) -> T {
    ROWS.suspend(print)
}

/// stderr for the log, around the rows.
pub(super) struct Around;

impl Write for Around {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        aside(|| std::io::stderr().write(bytes))
    }
    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
