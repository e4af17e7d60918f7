//! A GitHub of one test, at the wire. It keeps what it is told, answers with GitHub's own published examples as far as
//! they go, and refuses every request that GitHub's description does not allow.

use super::app::InstalledApp;
use super::description::{ApiRequest, description};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::task::JoinHandle;

pub(crate) const TOKEN: &str = "ghp_tide_secret";

/// Number, time of the merge, and state of a pull request.
pub(crate) type Pull = (u64, Option<&'static str>, &'static str);

/// What the server remembers.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) issues: Vec<Issue>,
    /// By issue or pull request.
    pub(crate) comments: BTreeMap<u64, Vec<String>>,
    /// Oldest first: commit, and the status as posted.
    pub(crate) statuses: Vec<(String, Value)>,
    /// Pull requests that hold a commit: number, merged at, merge commit.
    pub(crate) pulls: BTreeMap<String, Vec<Pull>>,
    pub(crate) labels: BTreeSet<String>,
    /// Check runs as posted and changed, oldest first.
    pub(crate) checks: Vec<Value>,
    /// Deployments, oldest first, each with its statuses.
    pub(crate) deployments: Vec<(Value, Vec<Value>)>,
    /// The App that is installed; without it only [`TOKEN`] is known.
    pub(crate) app: Option<InstalledApp>,
    /// Labels are dropped without a word, as for a token without push access.
    pub(crate) drops_labels: bool,
    /// The next requests of this method and path fragment are answered so.
    pub(crate) script: VecDeque<Scripted>,
    /// `METHOD path` of every request, in order.
    pub(crate) requests: Vec<String>,
    pub(super) problems: Vec<String>,
    prefix: &'static str,
}

pub(crate) struct Issue {
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) open: bool,
    pub(crate) labels: Vec<String>,
}

pub(crate) struct Scripted {
    pub(crate) on: &'static str,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: &'static str,
    /// Carried out all the same: only the answer is lost.
    pub(crate) done: bool,
}

pub(crate) struct Fake {
    pub(crate) api: String,
    world: Arc<Mutex<World>>,
    server: JoinHandle<()>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        Self::below("").await
    }

    /// With the API below a path, as an Enterprise server has it.
    pub(crate) async fn below(prefix: &'static str) -> Self {
        description();
        let world = Arc::new(Mutex::new(World {
            prefix,
            ..World::default()
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}{prefix}", listener.local_addr().unwrap());
        let router = Router::new().fallback(respond).with_state(Arc::clone(&world));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { api, world, server }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(crate) fn script(&self, scripted: Scripted) {
        self.world().script.push_back(scripted);
    }

    /// Everything it was told in words.
    pub(crate) fn texts(&self) -> Vec<String> {
        let world = self.world();
        let issues = world
            .issues
            .iter()
            .flat_map(|issue| [issue.title.clone(), issue.body.clone()]);
        let comments = world.comments.values().flatten().cloned();
        let statuses = world.statuses.iter().map(|(_, status)| status.to_string());
        issues.chain(comments).chain(statuses).collect()
    }

    /// Writes since the last call, as `METHOD path`.
    pub(crate) fn writes(&self) -> Vec<String> {
        let mut requests = std::mem::take(&mut self.world().requests);
        requests.retain(|request| !request.starts_with("GET "));
        requests
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
        if !std::thread::panicking() {
            assert_eq!(
                self.world().problems,
                Vec::<String>::new(),
                "requests against the description"
            );
        }
    }
}

async fn respond(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let body: Option<Value> = (!body.is_empty()).then(|| serde_json::from_slice(&body).unwrap());
    let mut world = world.lock().unwrap();
    let Some(path) = parts.uri.path().strip_prefix(world.prefix).map(ToOwned::to_owned) else {
        return said(404, &[], &json!({ "message": "Not Found" }));
    };
    let method = parts.method.as_str();
    let query = pairs(parts.uri.query().unwrap_or_default());
    world.requests.push(format!("{method} {path}"));
    if let Some((status, reply)) = world.refused(&parts.headers, method, &path) {
        return said(status, &[], &reply);
    }
    let problems = description().problems(&ApiRequest {
        method,
        path: &path,
        query: &query,
        body: body.as_ref(),
    });
    if !problems.is_empty() {
        let text = format!("{method} {path}: {}", problems.join("; "));
        world.problems.push(text.clone());
        return said(422, &[], &json!({ "message": text }));
    }
    let call = format!("{method} {path}");
    let scripted = world.script.front().is_some_and(|s| call.contains(s.on));
    let scripted = if scripted { world.script.pop_front() } else { None };
    if let Some(scripted) = &scripted
        && !scripted.done
    {
        return as_scripted(scripted);
    }
    let (status, reply) = world.perform(method, &path, &query, &body.unwrap_or_default());
    scripted.map_or_else(|| said(status, &[], &reply), |s| as_scripted(&s))
}

impl World {
    fn refused(&self, headers: &HeaderMap, method: &str, path: &str) -> Option<(u16, Value)> {
        let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if header("user-agent").is_empty() {
            let message = "Request forbidden by administrative rules.";
            return Some((403, json!({ "message": message })));
        }
        let token = header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        if let Some(app) = &self.app {
            return app.refused(token, path);
        }
        if token != TOKEN {
            return Some((401, json!({ "message": "Bad credentials" })));
        }
        (method == "POST" && path.ends_with("/check-runs"))
            .then(|| (403, json!({ "message": "You must authenticate via a GitHub App." })))
    }

    fn perform(&mut self, method: &str, path: &str, query: &[(String, String)], body: &Value) -> (u16, Value) {
        let steps: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        if let ["app", "installations", id, "access_tokens"] = steps.as_slice() {
            return self.app.as_ref().unwrap().token(id);
        }
        let ["repos", "example", "web", rest @ ..] = steps.as_slice() else {
            return (404, json!({ "message": "Not Found" }));
        };
        let missing = || (404, json!({ "message": "Not Found" }));
        match (method, rest) {
            ("GET", []) => (200, overlaid("full-repository", &json!({ "full_name": "example/web" }))),
            ("GET", ["issues"]) => (200, page(self.listed(query), query)),
            ("POST", ["issues"]) => (201, self.create(body)),
            (_, ["issues", number]) => {
                let number: u64 = number.parse().unwrap();
                let Some(issue) = self.issues.iter_mut().find(|issue| issue.number == number) else {
                    return missing();
                };
                if method == "PATCH" {
                    issue.change(body);
                }
                (200, issue.shown())
            }
            ("GET", ["issues", number, "comments"]) => {
                let texts = self.comments.get(&number.parse().unwrap()).cloned().unwrap_or_default();
                (200, page(texts.iter().map(|text| comment(text)).collect(), query))
            }
            ("POST", ["issues", number, "comments"]) => {
                let text = body["body"].as_str().unwrap();
                let comments = self.comments.entry(number.parse().unwrap()).or_default();
                comments.push(text.to_owned());
                (201, comment(text))
            }
            ("GET", ["labels", name]) if self.labels.contains(*name) => (200, description().example("label")),
            ("POST", ["labels"]) => {
                self.labels.insert(body["name"].as_str().unwrap().to_owned());
                (201, description().example("label"))
            }
            ("GET", ["commits", sha, "statuses"]) => {
                let of = self.statuses.iter().rev().filter(|(commit, _)| commit == sha);
                (200, page(of.map(|(_, status)| status.clone()).collect(), query))
            }
            ("POST", ["statuses", sha]) => {
                let status = overlaid("status", body);
                self.statuses.push(((*sha).to_owned(), status.clone()));
                (201, status)
            }
            ("GET", ["installation"]) => self.app.as_ref().map_or_else(missing, InstalledApp::shown),
            ("GET", ["commits", sha, "check-runs"]) => (200, self.checks_of(sha, query)),
            ("POST", ["check-runs"]) => (201, self.create_check(body)),
            ("PATCH", ["check-runs", id]) => (200, self.change_check(id.parse().unwrap(), body)),
            ("GET", ["deployments"]) => (200, page(self.deployments_of(query), query)),
            ("POST", ["deployments"]) => (201, self.create_deployment(body)),
            ("GET", ["deployments", id, "statuses"]) => (200, page(self.deployment_statuses(id), query)),
            ("POST", ["deployments", id, "statuses"]) => (201, self.deploy(id, body)),
            ("GET", ["commits", sha, "pulls"]) => (200, page(self.pulls_of(sha), query)),
            _ => missing(),
        }
    }

    fn create(&mut self, body: &Value) -> Value {
        let labels: Vec<String> = body["labels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|label| label.as_str().unwrap().to_owned())
            .collect();
        let issue = Issue {
            number: self.issues.len() as u64 + 41,
            title: body["title"].as_str().unwrap().to_owned(),
            body: body["body"].as_str().unwrap().to_owned(),
            open: true,
            labels: if self.drops_labels { vec![] } else { labels },
        };
        let shown = issue.shown();
        self.issues.push(issue);
        shown
    }

    fn listed(&self, query: &[(String, String)]) -> Vec<Value> {
        let parameter = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let state = parameter("state").unwrap_or("open");
        let of = |issue: &&Issue| {
            let labelled = parameter("labels").is_none_or(|label| issue.labels.iter().any(|l| l == label));
            labelled && (state == "all" || issue.open == (state == "open"))
        };
        let mut listed: Vec<Value> = self.issues.iter().rev().filter(of).map(Issue::shown).collect();
        // Lists of issues hold pull requests too, and this one is a copy of an issue of ours, label and all.
        if let Some(copy) = listed.first().cloned() {
            let mut pull = copy;
            pull["number"] = 7.into();
            pull["pull_request"] = description().example("issue")["pull_request"].clone();
            listed.insert(0, pull);
        }
        listed
    }

    fn pulls_of(&self, sha: &str) -> Vec<Value> {
        let example = description().example("pull-request-simple-items")[0].clone();
        let pulls = self.pulls.get(sha).cloned().unwrap_or_default();
        let shown = |(number, merged, commit): &(u64, Option<&str>, &str)| {
            let mut pull = example.clone();
            pull["number"] = (*number).into();
            pull["merged_at"] = json!(merged);
            pull["merge_commit_sha"] = json!(commit);
            pull
        };
        pulls.iter().map(shown).collect()
    }
}

impl Issue {
    fn change(&mut self, body: &Value) {
        if let Some(title) = body["title"].as_str() {
            title.clone_into(&mut self.title);
        }
        if let Some(text) = body["body"].as_str() {
            // As the web editor leaves it.
            self.body = text.replace('\n', "\r\n");
        }
        if let Some(state) = body["state"].as_str() {
            self.open = state == "open";
        }
    }

    fn shown(&self) -> Value {
        let mut shown = overlaid(
            "issue",
            &json!({ "number": self.number, "title": self.title, "body": self.body }),
        );
        shown["state"] = if self.open { "open" } else { "closed" }.into();
        shown["labels"] = self
            .labels
            .iter()
            .map(|name| {
                let mut label = description().example("label");
                label["name"] = name.as_str().into();
                label
            })
            .collect();
        // The published example is an issue that is a pull request.
        shown.as_object_mut().unwrap().remove("pull_request");
        shown
    }
}

fn comment(text: &str) -> Value {
    overlaid("issue-comment", &json!({ "body": text }))
}

/// GitHub's example with our fields.
pub(super) fn overlaid(example: &str, fields: &Value) -> Value {
    let mut value = description().example(example);
    for (name, field) in fields.as_object().unwrap() {
        value[name] = field.clone();
    }
    value
}

fn page(all: Vec<Value>, query: &[(String, String)]) -> Value {
    let number = |name: &str, otherwise: usize| {
        let parameter = query.iter().find(|(n, _)| n == name);
        parameter.map_or(otherwise, |(_, v)| v.parse().unwrap())
    };
    let size = number("per_page", 30);
    all.into_iter()
        .skip(size * (number("page", 1) - 1))
        .take(size)
        .collect()
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let plain = |text: &str| text.replace("%3A", ":").replace('+', " ");
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (plain(name), plain(value)))
        .collect()
}

fn as_scripted(scripted: &Scripted) -> Response {
    let headers: Vec<(&str, &str)> = scripted.headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    said(scripted.status, &headers, &json!({ "message": scripted.body }))
}

fn said(status: u16, headers: &[(&str, &str)], body: &Value) -> Response {
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", "application/json; charset=utf-8");
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from(body.to_string())).unwrap()
}
