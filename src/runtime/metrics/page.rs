//! The page in the format that the client asks for.

use super::counters::Counters;
use super::gauges::Gauges;
use crate::runtime::blocking::run_blocking;
use crate::runtime::bot::Bot;
use crate::runtime::fleet_status;
use crate::store::error::StoreError;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text exposition format, 0.0.4: what a client gets that asks for nothing.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    const OPEN_METRICS: &str = "application/openmetrics-text";

    /// `accept`: the request's `Accept` headers.
    #[must_use]
    pub fn asked<'a>(accept: impl IntoIterator<Item = &'a str>) -> Self {
        let mut ranges = accept.into_iter().flat_map(|header| header.split(','));
        let open_metrics = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts
                .next()
                .is_some_and(|kind| kind.eq_ignore_ascii_case(Self::OPEN_METRICS));
            named && !parts.any(|part| part == "q=0")
        };
        if ranges.any(open_metrics) {
            Format::OpenMetrics
        } else {
            Format::Text
        }
    }

    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => prometheus_text::CONTENT_TYPE,
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// # Errors
/// When the store cannot be read.
pub async fn text(bot: &Bot, format: Format) -> Result<String, StoreError> {
    let fleet_status = fleet_status::of_bot(bot).await?;
    let ended = bot.store.ended_runs().await?;
    let gauges = Gauges {
        hosts: bot.in_force().fleet.hosts.keys().cloned().collect(),
        term: bot.store.term(),
        database: bot.store.size(),
        free: rustix::fs::statvfs(&bot.state)
            .ok()
            .map(|state| state.f_bavail.saturating_mul(state.f_frsize)),
        fleet_status,
        ended,
    };
    let gauges = gauges.registry();
    let counters = Arc::clone(&bot.counters);
    let page = run_blocking(move || written(&counters, &gauges, format)).await;
    page.map_err(|e| StoreError::Unreadable {
        what: "metrics to write",
        why: e.to_string(),
    })
}

pub(super) fn written(counters: &Counters, gauges: &Registry, format: Format) -> Result<String, fmt::Error> {
    let mut page = String::new();
    for registry in [gauges, counters.registry()] {
        match format {
            Format::Text => prometheus_text::encode(&mut page, registry)?,
            Format::OpenMetrics => text::encode_registry(&mut page, registry)?,
        }
    }
    match format {
        Format::Text => {}
        Format::OpenMetrics => text::encode_eof(&mut page)?,
    }
    Ok(page)
}
