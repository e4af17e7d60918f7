//! What a container is doing, in our own words.

use super::connect::Engine;
use super::error::EngineError;
use super::sweep::percent;
use jiff::Timestamp;
use lowtide_model::container::{ContainerState, Health};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// One look at a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub state: ContainerState,
    pub exit_code: i64,
    pub oom_killed: bool,
    /// The runtime's words when it could not be started.
    pub error: String,
    pub restart_count: u64,
    pub health: Health,
    /// Output of the last health check; empty when there was none.
    pub health_log: String,
    /// Exit code of the last health check; `None` when there was none.
    pub health_exit: Option<i64>,
    /// For so long after a start a failing health check does not count; zero without a health check.
    pub start_period: Duration,
    /// By the engine's clock; `None` when it never started.
    pub started: Option<Timestamp>,
    /// By the engine's clock; `None` when it never stopped.
    pub finished: Option<Timestamp>,
    /// Its addresses on all its networks.
    pub addresses: Vec<IpAddr>,
    /// Ids of its networks.
    pub networks: Vec<String>,
    /// Its output has no stream headers.
    pub tty: bool,
}

impl Seen {
    /// Nothing in it runs, nor will by itself.
    #[must_use]
    pub fn ended(&self) -> bool {
        match self.state {
            ContainerState::Exited | ContainerState::Dead | ContainerState::Removing | ContainerState::Created => true,
            ContainerState::Running | ContainerState::Paused | ContainerState::Restarting | ContainerState::Unknown => {
                false
            }
        }
    }
}

impl Engine {
    /// Looks at one container, ours or not.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub async fn look(&self, id: &str) -> Result<Seen, EngineError> {
        self.raw_get(&format!("/containers/{id}/json"))
            .await
            .map(|body| seen(&body))
    }

    /// The environment its processes get: the image's, and what was given at its creation.
    ///
    /// # Errors
    /// `NotFound` when there is no such container.
    pub async fn environment(&self, id: &str) -> Result<BTreeMap<String, String>, EngineError> {
        let body = self.raw_get(&format!("/containers/{id}/json")).await?;
        let entries = body["Config"]["Env"].as_array().into_iter().flatten();
        let pairs = entries.filter_map(|entry| entry.as_str()?.split_once('='));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Did the kernel end a process of this container for lack of memory since its last start? The state only says so of
    /// the main process, so the engine's events are queried; they are at hand at once or not at all.
    ///
    /// # Errors
    /// When the engine does not respond.
    pub async fn ran_out_of_memory(&self, id: &str) -> Result<bool, EngineError> {
        let seen = self.look(id).await?;
        if seen.oom_killed {
            return Ok(true);
        }
        let since = seen.started.map_or(0, Timestamp::as_second);
        let filters = percent(&json!({"container": [id], "event": ["oom"]}).to_string());
        let url = format!("http://engine/events?since={since}&filters={filters}");
        let first_event = async { self.http.get(url).send().await?.chunk().await };
        match tokio::time::timeout(EVENTS_WITHIN, first_event).await {
            Ok(Ok(chunk)) => Ok(chunk.is_some_and(|c| !c.is_empty())),
            Ok(Err(e)) => Err(EngineError::Unreachable {
                address: self.address(),
                source: Box::new(e),
            }),
            Err(_) => Ok(false),
        }
    }
}

/// The container whose end is looked up in the engine's events.
#[derive(Debug, Clone, Copy)]
pub enum Ended<'a> {
    /// A container that is there: `since` its last start `until` its end, by the engine's clock.
    Container {
        id: &'a str,
        since: Timestamp,
        until: Timestamp,
    },
    /// A container with these labels that no longer exists.
    Labelled(&'a [String]),
}

impl Engine {
    /// Was it ended by a stop or kill call? The engine keeps its last 256 events in memory: *no* means that there is no
    /// evidence.
    ///
    /// # Errors
    /// When the engine does not respond.
    pub async fn ended_by_call(&self, ended: Ended<'_>) -> Result<bool, EngineError> {
        let (whose, span) = match ended {
            Ended::Container { id, since, until } => {
                // The stop event follows the exit that it caused by a moment.
                let span = format!("since={}&until={}", moment(since), until.as_second() + 2);
                (json!({"container": [id], "event": ["kill", "stop"]}), span)
            }
            Ended::Labelled(labels) => (
                json!({"label": labels, "event": ["kill", "stop"]}),
                "since=0".to_owned(),
            ),
        };
        let path = format!("/events?{span}&filters={}", percent(&whose.to_string()));
        let silence = EVENTS_WITHIN.max(Duration::from_secs(3));
        let headers = reqwest::header::HeaderMap::new();
        let mut stream = self.raw_stream(Method::GET, &path, None, headers, silence).await?;
        let mut received = Vec::new();
        let all = async {
            // What arrived before a stream broke off counts.
            while let Ok(Some(piece)) = stream.next().await {
                received.extend_from_slice(&piece);
            }
        };
        let within = match ended {
            Ended::Container { .. } => silence,
            Ended::Labelled(_) => EVENTS_WITHIN,
        };
        let _ = tokio::time::timeout(within, all).await;
        let events = serde_json::Deserializer::from_slice(&received).into_iter::<Value>();
        Ok(events.map_while(Result::ok).any(|event| is_end(&event)))
    }
}

/// As the events call takes it: seconds and nanoseconds.
fn moment(at: Timestamp) -> String {
    format!("{}.{:09}", at.as_second(), at.subsec_nanosecond())
}

/// Whether the event is a stop, or a kill with a terminating signal: on other signals many programs reload their
/// settings.
fn is_end(event: &Value) -> bool {
    match event["Action"].as_str() {
        Some("stop") => true,
        Some("kill") => {
            let signal = event["Actor"]["Attributes"]["signal"].as_str().unwrap_or_default();
            matches!(
                signal,
                "2" | "3" | "9" | "15" | "SIGINT" | "SIGQUIT" | "SIGKILL" | "SIGTERM"
            )
        }
        Some(_) | None => false,
    }
}

/// Past events come within milliseconds; after that the engine waits for new ones.
const EVENTS_WITHIN: Duration = Duration::from_millis(700);

/// Reads an inspect body. What it does not say is *unknown*, never *fine*.
#[must_use]
pub fn seen(body: &Value) -> Seen {
    let state = &body["State"];
    let health = &state["Health"];
    let last_check = health["Log"].as_array().and_then(|log| log.last());
    let networks = || body["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    let time = |key: &str| {
        // The engine writes year 1 for *never*.
        state[key]
            .as_str()
            .and_then(|t| t.parse::<Timestamp>().ok())
            .filter(|t| t.as_second() > 0)
    };
    Seen {
        state: state_named(state["Status"].as_str().unwrap_or_default()),
        exit_code: state["ExitCode"].as_i64().unwrap_or(-1),
        oom_killed: state["OOMKilled"].as_bool().unwrap_or(false),
        error: state["Error"].as_str().unwrap_or_default().to_owned(),
        restart_count: body["RestartCount"].as_u64().unwrap_or(0),
        health: health_named(health["Status"].as_str().unwrap_or_default()),
        health_log: last_check
            .and_then(|entry| entry["Output"].as_str())
            .map(|text| text.trim().chars().take(500).collect())
            .unwrap_or_default(),
        health_exit: last_check.and_then(|entry| entry["ExitCode"].as_i64()),
        start_period: start_period(&body["Config"]),
        started: time("StartedAt"),
        finished: time("FinishedAt"),
        addresses: networks()
            .filter_map(|(_, n)| n["IPAddress"].as_str().and_then(|a| a.parse().ok()))
            .collect(),
        networks: networks()
            .filter_map(|(_, n)| n["NetworkID"].as_str().map(ToOwned::to_owned))
            .collect(),
        tty: body["Config"]["Tty"].as_bool().unwrap_or(false),
    }
}

/// Does the config of a container or image have a health check that is not switched off?
pub(super) fn has_check(config: &Value) -> bool {
    match config["Healthcheck"]["Test"][0].as_str() {
        // An empty one is none as well: engines keep the other settings of a check that was never given.
        None | Some("" | "NONE") => false,
        Some(_) => true,
    }
}

/// Start period of the health check in a container's or image's config; zero where it has none.
pub(super) fn start_period(config: &Value) -> Duration {
    if has_check(config) {
        Duration::from_nanos(config["Healthcheck"]["StartPeriod"].as_u64().unwrap_or(0))
    } else {
        Duration::ZERO
    }
}

/// Engine states as moby's `container.State` writes them, and those that Podman has besides (libpod/define/containerstate.go): it
/// shows a container that ended as `stopped` until it has put its things away.
#[must_use]
pub fn state_named(text: &str) -> ContainerState {
    match text {
        "created" | "configured" | "initialized" => ContainerState::Created,
        "running" | "stopping" => ContainerState::Running,
        "paused" => ContainerState::Paused,
        "restarting" => ContainerState::Restarting,
        "removing" => ContainerState::Removing,
        "exited" | "stopped" => ContainerState::Exited,
        "dead" => ContainerState::Dead,
        _ => ContainerState::Unknown,
    }
}

fn health_named(text: &str) -> Health {
    match text {
        "starting" => Health::Starting,
        "healthy" => Health::Healthy,
        "unhealthy" => Health::Unhealthy,
        // Absent, or the "none" of a switched-off check.
        _ => Health::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inspect_body_is_read() {
        let seen = seen(&json!({
            "RestartCount": 2,
            "State": {"Status": "running", "ExitCode": 0, "OOMKilled": false, "Error": "",
                "StartedAt": "2026-01-02T03:04:05.678901234Z", "FinishedAt": "0001-01-01T00:00:00Z",
                "Health": {"Status": "unhealthy", "Log": [{"Output": "old", "ExitCode": 0}, {"Output": "new\n", "ExitCode": 1}]}},
            "Config": {"Healthcheck": {"Test": ["CMD-SHELL", "x"], "StartPeriod": 3_000_000_000_u64}},
            "NetworkSettings": {"Networks": {"a": {"NetworkID": "n", "IPAddress": "10.1.2.3"}, "b": {"IPAddress": ""}}},
        }));
        assert_eq!(seen.state, ContainerState::Running);
        assert_eq!(seen.health, Health::Unhealthy);
        assert_eq!((seen.health_log.as_str(), seen.health_exit), ("new", Some(1)));
        assert_eq!(seen.start_period, Duration::from_secs(3));
        assert_eq!(seen.restart_count, 2);
        assert!(seen.started.is_some() && seen.finished.is_none());
        assert_eq!(seen.addresses, ["10.1.2.3".parse::<IpAddr>().unwrap()]);
        assert_eq!(seen.networks, ["n"]);
    }

    #[test]
    fn a_signal_to_read_settings_anew_is_no_end() {
        let event = |action: &str, signal: &str| json!({"Action": action, "Actor": {"Attributes": {"signal": signal}}});
        for (action, signal, end) in [
            ("stop", "", true),
            ("kill", "15", true),
            ("kill", "9", true),
            ("kill", "SIGKILL", true),
            ("kill", "1", false),
            ("kill", "10", false),
            ("kill", "28", false),
            ("die", "", false),
            ("oom", "", false),
        ] {
            assert_eq!(is_end(&event(action, signal)), end, "{action} {signal}");
        }
        assert_eq!(
            moment("2026-01-02T03:04:05.000000678Z".parse().unwrap()),
            "1767323045.000000678"
        );
    }

    #[test]
    fn podmans_own_states_are_those_of_the_api() {
        for (podman, state) in [
            ("configured", ContainerState::Created),
            ("initialized", ContainerState::Created),
            ("stopping", ContainerState::Running),
            ("stopped", ContainerState::Exited),
            ("unknown", ContainerState::Unknown),
        ] {
            assert_eq!(state_named(podman), state, "{podman}");
        }
    }

    #[test]
    fn an_empty_response_is_unknown() {
        let seen = seen(&Value::Null);
        assert_eq!(seen.state, ContainerState::Unknown);
        assert_eq!(seen.exit_code, -1);
        assert!(!seen.ended());
    }

    #[test]
    fn a_health_check_that_is_off_has_no_start_period() {
        let period =
            |test: Value| start_period(&json!({"Healthcheck": {"Test": test, "StartPeriod": 5_000_000_000_u64}}));
        assert_eq!(period(json!(["CMD", "x"])), Duration::from_secs(5));
        for off in [json!(["NONE"]), json!([]), Value::Null] {
            assert_eq!(period(off.clone()), Duration::ZERO, "{off}");
        }
    }
}
