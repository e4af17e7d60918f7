//! What a real Prometheus sees of a real `lowtide serve`, and that dashboard, alert rules and documentation speak of metrics
//! that are there. Needs the packages that bring `prometheus` and `promtool`.

use crate::support::serving::{PATIENCE, Serving};
use lowtide::clients::clock;
use lowtide::config::validate;
use lowtide::fleet::app_state::AppEvent;
use lowtide::fleet::run::RunEvent;
use lowtide::model::failure::SkipReason;
use lowtide::model::name::{AppName, RunId};
use lowtide::model::run::{Conclusion, Effect, Trigger};
use lowtide::model::stages::resolve::Resolve;
use lowtide::store::database::Store;
use lowtide::store::journal::Batch;
use lowtide::web::serve::listens_at;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A state directory with a past, and its configuration. Nothing in there can be reached, and nothing is due.
struct House {
    dir: TempDir,
}

impl House {
    /// The journal has a run that ended well, and one that a kill interrupted.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let socket = dir.path().join("docker.sock");
        // An engine's socket must be there. Nobody listens: what connects is refused.
        drop(UnixListener::bind(&socket).unwrap());
        let config = format!(
            "version: 1
mode: active
hosts: {{ build: {{ docker: \"unix://{}\" }} }}
notify: {{ email: {{ smtp: \"smtp+plain://127.0.0.1:1\", from: a@example.org, operators: [ops@example.org] }} }}
apps:
  web:
    schedule: never
    source: {{ repo: \"file://{}/gone.git\" }}
    publish: {{ image: \"127.0.0.1:1/web\" }}
    rollout: [ {{ container: {{ name: web }} }} ]
",
            socket.display(),
            dir.path().display()
        );
        std::fs::write(dir.path().join("config.yml"), &config).unwrap();
        let fleet = validate::fleet(config.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
        let name: AppName = "web".parse().unwrap();
        let opened = || RunEvent::Opened {
            seen: Vec::new(),
            app: Box::new(fleet.apps[&name].as_ref().clone()),
            trigger: Trigger::Manual {
                by: "ana".to_owned(),
                rebuild: false,
            },
            revision: "r".to_owned(),
            last: None,
            quarantine: Vec::new(),
            judged: None,
        };
        let ended = RunEvent::Concluded {
            conclusion: Conclusion::Unchanged {
                why: SkipReason::SameContent,
            },
        };
        let started = RunEvent::EffectStarted {
            attempt: 1,
            effect: Effect::Resolve(Resolve {}),
        };
        let batch = Batch::new().app(&name, &AppEvent::Tracked);
        let batch = batch.run(&name, RunId(ulid::Ulid(1)), 0, &opened());
        let batch = batch.run(&name, RunId(ulid::Ulid(1)), 1, &ended);
        let batch = batch.run(&name, RunId(ulid::Ulid(2)), 0, &opened());
        let batch = batch.run(&name, RunId(ulid::Ulid(2)), 1, &started);
        let store = Store::open(&state.join("lowtide.db"), true).unwrap();
        store.commit(batch, clock::now()).await.unwrap();
        Self { dir }
    }

    /// `lowtide serve`, and where it answers.
    fn serve(&self) -> (Serving, SocketAddr) {
        let state = self.dir.path().join("state");
        let mut command = Command::new(env!("CARGO_BIN_EXE_lowtide"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]);
        command
            .arg(self.dir.path().join("config.yml"))
            .arg("--state")
            .arg(&state);
        let mut serving = Serving::start(command, |_| {});
        serving.said("health, metrics, the status page");
        (serving, listens_at(&state).unwrap())
    }

    /// A Prometheus that answers queries, and where.
    async fn prometheus(&self, scraped: SocketAddr) -> (Serving, String) {
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: [\"{}\"]
scrape_configs: [ {{ job_name: lowtide, static_configs: [ {{ targets: [\"{scraped}\"] }} ] }} ]
",
            root("docs/monitoring/alerts.yml").display()
        );
        let file = self.dir.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("prometheus");
        command.arg("--web.listen-address=127.0.0.1:0");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!(
            "--storage.tsdb.path={}",
            self.dir.path().join("tsdb").display()
        ));
        let mut serving = Serving::start(command, |_| {});
        let line = serving.said("msg=\"Listening on\"");
        let address = line.split("address=").nth(1).unwrap().trim().to_owned();
        let url = format!("http://{address}");
        // It listens before its database is open, and refuses queries until then.
        let ready = async || {
            let response = reqwest::get(format!("{url}/-/ready")).await.ok()?;
            response.status().is_success().then_some(())
        };
        until("Prometheus is ready", ready).await;
        (serving, url)
    }
}

pub(crate) async fn page(address: SocketAddr) -> String {
    lowtide::clients::tls::ready();
    let response = reqwest::get(format!("http://{address}/metrics")).await.unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    response.text().await.unwrap()
}

/// Asks again and again until `look` finds it.
async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let mut again = tokio::time::interval(Duration::from_millis(50));
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            again.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("never: {what}"))
}

async fn api_get(prometheus: &str, path: &str, query: &[(&str, &str)]) -> Value {
    let url = reqwest::Url::parse_with_params(&format!("{prometheus}/api/v1/{path}"), query).unwrap();
    let body: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert_eq!(body["status"], "success", "{query:?}: {body}");
    body["data"].clone()
}

/// The value of the only series that the query finds.
async fn value(prometheus: &str, query: &str) -> Option<f64> {
    let data = api_get(prometheus, "query", &[("query", query)]).await;
    let found = data["result"].as_array().unwrap();
    assert!(found.len() < 2, "{query}: {data}");
    found.first()?["value"][1].as_str()?.parse().ok()
}

/// Names of metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let name = Regex::new("lowtide_[a-z_]+").unwrap();
    name.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

/// Families of the page, and the names of their series.
fn families(page: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let families = types.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let series = samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned());
    (families, series.collect())
}

/// Every expression of the dashboard, as Grafana would send it.
fn expressions(json: &Value, found: &mut Vec<String>) {
    match json {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "expr" => found.push(text.clone()),
                    Value::Object(_) | Value::Array(_) => expressions(value, found),
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn dashboard() -> (Value, Vec<String>) {
    let json: Value = serde_json::from_str(&read("docs/monitoring/dashboard.json")).unwrap();
    let mut found = Vec::new();
    expressions(&json["panels"], &mut found);
    assert!(found.len() > 30, "{}", found.len());
    (json, found)
}

fn promtool(arguments: &[&str], input: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of the package prometheus");
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said.into_owned()
}

#[test]
fn the_alert_rules_hold_and_fire_when_they_should() {
    let path = |path: &str| root(path).display().to_string();
    promtool(&["check", "rules", &path("docs/monitoring/alerts.yml")], "");
    for tests in ["tests/fixtures/alerts_test.yml", "tests/fixtures/alerts_days_test.yml"] {
        promtool(&["test", "rules", &path(tests)], "");
    }
    let rules: Value = serde_yaml::from_str(&read("docs/monitoring/alerts.yml")).unwrap();
    let rules = rules["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    for rule in rules {
        for key in ["summary", "description", "runbook"] {
            assert!(rule["annotations"][key].is_string(), "{}: {key}", rule["alert"]);
        }
        let command = rule["annotations"]["runbook"].as_str().unwrap();
        assert!(command.contains("`lowtide "), "{command}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{severity}");
    }
}

/// Grafana takes it as it is: every panel has an id and a place of its own, and asks the source that is chosen.
#[test]
fn the_dashboard_imports_as_it_is() {
    let (json, _) = dashboard();
    let chosen = &json["templating"]["list"][0];
    assert_eq!(
        (&chosen["name"], &chosen["type"]),
        (&"datasource".into(), &"datasource".into())
    );
    assert!(json.get("id").is_none() && json.get("__inputs").is_none());
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in json["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for (x, y) in (place("x")..place("x") + place("w")).flat_map(|x| (0..place("h")).map(move |y| (x, y))) {
            assert!(
                x < 24 && taken.insert((x, place("y") + y)),
                "{title} lies on another panel"
            );
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            assert!(panel["description"].is_string(), "{title}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(
                targets
                    .iter()
                    .all(|target| target["datasource"]["uid"] == "${datasource}"),
                "{title}"
            );
        }
    }
}

/// They begin with a registry's first answer about its limit, and none answers here.
const OF_REGISTRIES: [&str; 2] = ["lowtide_registry_busy", "lowtide_registry_requests_remaining"];

#[tokio::test]
async fn dashboard_rules_and_documentation_name_metrics_of_the_page() {
    let house = House::new().await;
    let (_serving, address) = house.serve();
    let page = page(address).await;
    let problems = promtool(&["check", "metrics"], &page);
    assert_eq!(problems, "");
    let (families, series) = families(&page);
    let texts = [
        "docs/monitoring/dashboard.json",
        "docs/monitoring/alerts.yml",
        "docs/monitoring.md",
        "docs/rollouts.md",
        "tests/fixtures/alerts_test.yml",
        "tests/fixtures/alerts_days_test.yml",
    ];
    for text in texts {
        let unknown: Vec<String> = named(&read(text))
            .into_iter()
            .filter(|name| !families.contains(name) && !series.contains(name))
            .filter(|name| !OF_REGISTRIES.contains(&name.as_str()))
            .collect();
        assert!(unknown.is_empty(), "{text} names what the page has not: {unknown:?}");
    }
    let documented = read("docs/monitoring.md");
    let missing: Vec<&String> = families
        .iter()
        .filter(|family| !documented.contains(&format!("| `{family}` |")))
        .collect();
    assert!(missing.is_empty(), "docs/monitoring.md has no row for {missing:?}");
}

/// The run that a kill interrupted is ended, and counted, by the next process alone; the one that had ended before is not.
#[tokio::test]
async fn a_real_prometheus_sees_every_metric_and_each_event_once() {
    let house = House::new().await;
    let (mut serving, address) = house.serve();
    serving.said("run ended");
    lowtide::clients::tls::ready();
    let (_prometheus, prometheus) = house.prometheus(address).await;
    until("up == 1", async || {
        value(&prometheus, "up").await.filter(|up| *up == 1.0)
    })
    .await;
    let failed = "lowtide_runs_total{conclusion=\"failed\"}";
    until("the failed run", async || {
        value(&prometheus, failed).await.filter(|runs| *runs == 1.0)
    })
    .await;
    for (query, expected) in [
        ("sum(lowtide_runs_total)", 1.0),
        ("sum(lowtide_run_failures_total)", 1.0),
        (
            "lowtide_run_failures_total{stage=\"resolve\",kind=\"source_gone\",fault=\"operator\"}",
            1.0,
        ),
        ("sum(lowtide_stage_failures_total)", 1.0),
        ("sum(lowtide_run_duration_seconds_count)", 1.0),
        ("lowtide_stage_duration_seconds_count{stage=\"resolve\"}", 1.0),
        ("lowtide_app_failing{app=\"web\"}", 1.0),
        ("lowtide_apps{state=\"failing\"}", 1.0),
    ] {
        assert_eq!(value(&prometheus, query).await, Some(expected), "{query}");
    }
    let (_, expressions) = dashboard();
    let alerts = read("docs/monitoring/alerts.yml");
    for name in named(&(expressions.join("\n") + &alerts)) {
        let found = value(&prometheus, &format!("count({name})")).await;
        assert!(found.is_some(), "Prometheus has no {name}");
    }
    for expression in expressions {
        let sent = expression.replace("$job", "lowtide").replace("$instance", ".*");
        let sent = sent.replace("$__rate_interval", "4m").replace("$__range", "1h");
        assert!(!sent.contains('$'), "{sent}");
        api_get(&prometheus, "query", &[("query", &sent)]).await;
    }
    let rules = until("all rules evaluated", async || {
        let data = api_get(&prometheus, "rules", &[]).await;
        let groups = data["groups"].as_array().unwrap().clone();
        let rules: Vec<Value> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap().clone())
            .collect();
        let evaluated = rules.iter().all(|rule| rule["health"] != "unknown");
        (evaluated && !rules.is_empty()).then_some(rules)
    });
    for rule in rules.await {
        assert_eq!(rule["health"], "ok", "{rule}");
    }

    // kill -9, and a start: counters begin at zero, the state is what it was.
    drop(serving);
    let (_serving, address) = house.serve();
    let page = page(address).await;
    for line in [
        "lowtide_runs_total{conclusion=\"failed\"} 0",
        "lowtide_app_failing{app=\"web\"} 1",
        "lowtide_apps{state=\"failing\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
}
