//! What a process does before its command.

use super::args::LogFormat;
use super::screen;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Logs go to stderr. `LOWTIDE_LOG` filters it (`info`, `lowtide=debug`); commands other than `serve` are quiet.
pub(super) fn tracing(format: LogFormat, serving: bool) {
    let quiet = if serving {
        "info,tokio_cron_scheduler=warn"
    } else {
        "error,lowtide=warn"
    };
    let filter = EnvFilter::try_from_env("LOWTIDE_LOG").unwrap_or_else(|_| EnvFilter::new(quiet));
    let writer = if serving {
        BoxMakeWriter::new(std::io::stderr)
    } else {
        BoxMakeWriter::new(|| screen::Around)
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Human => builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
