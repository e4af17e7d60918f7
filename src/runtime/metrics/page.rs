//! The page in the format that the client requests.

use super::counters::Counters;
use super::gauges::Gauges;
use crate::clients::clock;
use crate::runtime::blocking::run_blocking;
use crate::runtime::bot::Bot;
use crate::runtime::fleet_status;
use crate::runtime::perform::room;
use crate::store::error::StoreError;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text exposition format, 0.0.4: what a client gets that requests nothing.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What a client likes best. `accept`: the request's `Accept` headers.
    #[must_use]
    pub fn negotiate<'a>(accept: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut open_metrics, mut text) = (0.0, 0.0);
        for range in accept.into_iter().flat_map(|header| header.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let quality = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/openmetrics-text" => &mut open_metrics,
                "text/plain" => &mut text,
                _ => continue,
            };
            *quality = parts.find_map(quality_of).unwrap_or(1.0).max(*quality);
        }
        if open_metrics > 0.0 && open_metrics >= text {
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

/// The value of `q=` (RFC 9110, 12.4.2); what is no number counts as 0.
fn quality_of(parameter: &str) -> Option<f32> {
    Some(parameter.strip_prefix("q=")?.parse().unwrap_or(0.0))
}

/// # Errors
/// When the store cannot be read.
pub async fn text(bot: &Bot, format: Format) -> Result<String, StoreError> {
    let fleet_status = fleet_status::of_bot(bot).await?;
    let ended = bot.store.ended_runs().await?;
    let hosts = bot.in_force().fleet.hosts.keys().cloned().collect();
    let registries = bot.quotas.all(clock::now());
    let (term, database, state) = (bot.store.term(), bot.store.size(), bot.state.clone());
    let counters = Arc::clone(&bot.counters);
    let page = run_blocking(move || {
        let gauges = Gauges {
            registries,
            fleet_status,
            ended,
            hosts,
            term,
            database,
            free: room::free(&state).ok(),
        };
        written(&counters, &gauges.registry(), format)
    });
    let page = page.await;
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
