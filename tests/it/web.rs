//! What a bot over a real store serves, without an engine: pages, JSON, the control socket, and which configuration it follows.

mod followed;
mod hooks;
mod pages;
mod past;

use lowtide::clients::clock;
use lowtide::clients::engine::probe::ProbePath;
use lowtide::config::validate;
use lowtide::fleet::app_state::AppEvent;
use lowtide::fleet::rollout::RolloutEvent;
use lowtide::kinds::containers::model::{OnExit, RestartPolicy, Unit};
use lowtide::kinds::containers::step::{ContainerOutcome, ContainerStep};
use lowtide::kinds::list::Outcome;
use lowtide::kinds::track::Ended;
use lowtide::model::name::{AppName, RolloutId, RunId};
use lowtide::model::release::{Images, Release};
use lowtide::model::rollout::{Bar, Part, Purpose};
use lowtide::runtime::bot::{Bot, InForce};
use lowtide::runtime::config_watch::{Place, Seen, Watch};
use lowtide::runtime::control::{self, OperatorRequest, OperatorResponse};
use lowtide::runtime::progress::Progress;
use lowtide::runtime::supervisor::Request;
use lowtide::runtime::troubles;
use lowtide::store::database::Store;
use lowtide::store::journal::Batch;
use lowtide::store::sealed::Sealed;
use lowtide::web::serve::serve_on;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const MAIL: &str = "notify: { email: { smtp: \"smtp+plain://127.0.0.1:1\", from: a@example.org, operators: [ops@example.org, b@example.org] } }\n";

/// A socket nobody asks anything: a fleet names an engine, and an engine's socket must be there.
fn socket() -> PathBuf {
    static SOCKET: OnceLock<(tempfile::TempDir, UnixListener, PathBuf)> = OnceLock::new();
    let (_, _, path) = SOCKET.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker.sock");
        (dir, UnixListener::bind(&path).unwrap(), path)
    });
    path.clone()
}

fn good(app: &str) -> String {
    let socket = socket();
    let hosts = format!("hosts: {{ build: {{ docker: \"unix://{}\" }} }}\n", socket.display());
    format!("version: 1\n{MAIL}{hosts}apps:\n  {app}:\n    source: {{ repo: \"https://git.example.org/web.git\" }}\n")
}

const BAD: &str = "version: 1\napps:\n  web:\n    sorce: {}\n";

async fn bot(dir: &Path) -> Arc<Bot> {
    let state = dir.join("state");
    std::fs::create_dir_all(&state).unwrap();
    let store = Store::open(&state.join("lowtide.db"), true).unwrap();
    let sealed = Sealed::open(&state).unwrap();
    let fleet = validate::fleet(good("web").as_bytes()).unwrap();
    let in_force = InForce::new("start".into(), fleet, None, &state).unwrap();
    let bot = Bot::new(
        store,
        sealed,
        state,
        "lowtide-test".into(),
        ProbePath::HostView,
        in_force,
    )
    .await;
    Arc::new(bot.unwrap())
}

#[tokio::test]
async fn http_responds_and_reads_only() {
    let dir = tempfile::tempdir().unwrap();
    let bot = bot(dir.path()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve_on(Arc::clone(&bot), listener, stop.clone()));
    lowtide::clients::tls::ready();
    let get = async |path: &str| {
        let response = reqwest::get(format!("http://{address}{path}")).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(get("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(get("/readyz").await, (200, "ready\n".to_owned()));
    let (status, metrics) = get("/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "lowtide_apps{state=\"new\"} 1",
        "lowtide_app_halted{app=\"web\"} 0",
        "lowtide_term 1",
        "lowtide_paused 0",
        "lowtide_apps{state=\"behind\"} 0",
        "lowtide_app_behind{app=\"web\"} 0",
        "lowtide_app_pending_fixes{app=\"web\"} 0",
        "lowtide_app_missing_security_fixes{app=\"web\"} 0",
        "lowtide_configuration_refused 0",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is not in\n{metrics}");
    }
    let (status, page) = get("/").await;
    assert_eq!(status, 200);
    // Links lead to pages of its own; nothing is loaded.
    let links: Vec<&str> = page.split("href=\"").skip(1).collect();
    assert!(links.iter().any(|link| link.starts_with("/apps/web\"")), "{page}");
    assert!(
        links
            .iter()
            .all(|link| link.starts_with('/') || link.starts_with("#main\"")),
        "{page}"
    );
    assert!(!page.contains("src=") && !page.contains("<link"), "{page}");
    let client = reqwest::Client::new();
    let posted = client.post(format!("http://{address}/")).send().await.unwrap();
    assert_eq!(posted.status().as_u16(), 405);
    // A newer lowtide takes over: alive, not ready.
    let _newer = Store::open(&bot.state.join("lowtide.db"), true).unwrap();
    assert_eq!(get("/healthz").await.0, 200);
    assert_eq!(get("/readyz").await.0, 503);
    stop.cancel();
    serving.await.unwrap().unwrap();
}

/// Bot, its address, and what answers there.
async fn served(bot: &Arc<Bot>) -> impl AsyncFn(&str) -> (u16, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_on(Arc::clone(bot), listener, CancellationToken::new()));
    lowtide::clients::tls::ready();
    async move |path: &str| {
        let response = reqwest::get(format!("http://{address}{path}")).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

#[tokio::test]
async fn a_refused_configuration_is_reported_until_it_is_good_again() {
    let dir = tempfile::tempdir().unwrap();
    let bot = bot(dir.path()).await;
    let get = served(&bot).await;
    let path = dir.path().join("config.yml");
    let place = Place::parse(path.to_str().unwrap());
    let mut watch = Watch::new(place.clone(), None);
    std::fs::write(&path, BAD).unwrap();
    assert_eq!(watch.look(&bot).await.unwrap(), Seen::Refused);
    let since = bot.store.refused().await.unwrap().unwrap().since;
    // A later process refuses it again; since when is not forgotten.
    assert_eq!(Watch::new(place.clone(), None).look(&bot).await.unwrap(), Seen::Refused);
    assert_eq!(bot.store.refused().await.unwrap().unwrap().since, since);
    let refused = "has been refused for less than a minute; the last valid one stays in effect";
    let (status, ready) = get("/readyz").await;
    assert_eq!(status, 200);
    assert!(
        ready.starts_with("ready\nnote: the configuration at ") && ready.contains(refused),
        "{ready}"
    );
    assert!(get("/").await.1.contains(refused));
    assert!(get("/metrics").await.1.contains("lowtide_configuration_refused 1\n"));
    let shown = status_of(dir.path());
    assert!(shown.contains(refused), "{shown}");
    // Gone: neither refused nor good, so the refusal stays.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(watch.look(&bot).await.unwrap(), Seen::Blind);
    assert!(get("/readyz").await.1.contains("the configuration cannot be read"));
    std::fs::write(&path, good("first")).unwrap();
    // By a process that never saw it refused.
    assert_eq!(Watch::new(place, None).look(&bot).await.unwrap(), Seen::TakenUp);
    assert_eq!(get("/readyz").await, (200, "ready\n".to_owned()));
    assert!(!get("/").await.1.contains("has been refused"));
    assert!(!status_of(dir.path()).contains("refused"));
}

/// `lowtide status` beside the bot.
fn status_of(dir: &Path) -> String {
    let state = dir.join("state");
    let output = Command::new(env!("CARGO_BIN_EXE_lowtide"))
        .args(["status", "--state"])
        .arg(state)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn an_engine_that_does_not_respond_is_a_note_and_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let bot = bot(dir.path()).await;
    let get = served(&bot).await;
    // Nobody hears this one: what connects is refused.
    let text = good("web").replace(
        &socket().display().to_string(),
        &dir.path().join("gone.sock").display().to_string(),
    );
    drop(UnixListener::bind(dir.path().join("gone.sock")).unwrap());
    let fleet = validate::fleet(text.as_bytes()).unwrap();
    bot.put_in_force(InForce::new("gone".into(), fleet, None, &bot.state).unwrap());
    troubles::look(&bot).await;
    let note = "note: engine build: no answer; nothing is built or rolled out there until it is back\n";
    assert_eq!(get("/healthz").await, (200, format!("ok\n{note}")));
    assert_eq!(get("/readyz").await, (200, format!("ready\n{note}")));
    assert!(
        get("/metrics")
            .await
            .1
            .contains("lowtide_engine_unusable{host=\"build\"} 1\n")
    );
    // One that is configured no more is none of it.
    let renamed = validate::fleet(text.replace("build:", "other:").as_bytes()).unwrap();
    bot.put_in_force(InForce::new("renamed".into(), renamed, None, &bot.state).unwrap());
    troubles::look(&bot).await;
    assert_eq!(
        get("/healthz").await,
        (200, format!("ok\n{}", note.replace("build", "other")))
    );
}

/// The bot of a fleet with a rollout that is half-way.
async fn rolling(dir: &Path) -> Arc<Bot> {
    let state = dir.join("state");
    std::fs::create_dir_all(&state).unwrap();
    let text = good("web").replace("version: 1\n", "version: 1\nmode: active\n")
        + "    rollout: [ { container: { name: web }, window: { from: \"00:00\", to: \"24:00\" }, bake: 2m } ]\n";
    let fleet = validate::fleet(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
    let app = &fleet.apps[&"web".parse::<AppName>().unwrap()];
    let (name, target) = (app.name.clone(), app.rollout[0].clone());
    let store = Store::open(&state.join("lowtide.db"), true).unwrap();
    let (id, image) = (RolloutId(ulid::Ulid(9)), format!("sha256:{}", "b".repeat(64)));
    let started = |step| RolloutEvent::StepStarted { attempt: 1, step };
    let events = [
        RolloutEvent::Opened {
            app: name.clone(),
            target: Box::new(target.clone()),
            timezone: app.timezone.clone(),
            release: Box::new(Release {
                upstream: None,
                run: RunId(ulid::Ulid(7)),
                images: Images::one(image.parse().unwrap(), image.parse().unwrap()),
                commit: Some("c".repeat(40)),
                tag: "t1".to_owned(),
                digest: None,
                reference: "example.org/web:t1".parse().unwrap(),
                change: None,
                sidecars: std::collections::BTreeMap::new(),
                at: clock::now(),
            }),
            window_ignored: false,
            purpose: Purpose::Release,
        },
        started(ContainerStep::Preflight.into()),
        RolloutEvent::StepEnded {
            outcome: Ended::Well {
                outcome: Outcome::from(ContainerOutcome::Preflighted {
                    units: vec![unit("web")],
                }),
            },
        },
        started(ContainerStep::Pull.into()),
    ];
    let opened = AppEvent::RolloutOpened {
        target: target.settings.name,
        release: RunId(ulid::Ulid(7)),
        rollout: id,
    };
    let mut batch = Batch::new().app(&name, &opened);
    for (seen, event) in (0..).zip(&events) {
        batch = batch.rollout(&name, id, seen, event);
    }
    store.commit(batch, clock::now()).await.unwrap();
    let sealed = Sealed::open(&state).unwrap();
    let in_force = InForce::new("start".into(), fleet, None, &state).unwrap();
    let instance = "lowtide-test".into();
    Arc::new(
        Bot::new(store, sealed, state, instance, ProbePath::HostView, in_force)
            .await
            .unwrap(),
    )
}

fn unit(name: &str) -> Unit {
    Unit {
        index: 0,
        name: name.to_owned(),
        old: "a".repeat(64),
        old_image: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
        was_running: true,
        restart: RestartPolicy::none(),
        fixed_restart: false,
        snapshot: String::new(),
        part: Part::Release,
        depends_on: Vec::new(),
        bars: vec![Bar::Device],
        on_exit: OnExit::Stays,
        tag: None,
        needs: vec![],
    }
}

fn steps_of(rollout: &serde_json::Value) -> String {
    let word = |step: &serde_json::Value, key: &str| step[key].as_str().unwrap().to_owned();
    let steps = rollout["steps"].as_array().unwrap().iter();
    let steps: Vec<String> = steps
        .map(|step| format!("{}: {}", word(step, "step"), word(step, "state")))
        .collect();
    steps.join("\n")
}

#[tokio::test]
async fn an_open_rollout_is_shown_over_http() {
    let dir = tempfile::tempdir().unwrap();
    let bot = rolling(dir.path()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve_on(Arc::clone(&bot), listener, stop.clone()));
    lowtide::clients::tls::ready();
    let get = async |path: &str| reqwest::get(format!("http://{address}{path}")).await.unwrap();
    let response = get("/api/v1/rollouts").await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let json: serde_json::Value = response.json().await.unwrap();
    assert_eq!((&json["version"], &json["paused"]), (&1.into(), &false.into()));
    let rollout = &json["rollouts"][0];
    assert_eq!(rollout["app"], "web");
    assert_eq!(
        (&rollout["tag"], &rollout["window_ignored"]),
        (&"t1".into(), &false.into())
    );
    assert_eq!(rollout["needs_by"], "limits");
    let unit = &rollout["units"][0];
    assert_eq!((&unit["name"], &unit["phase"]), (&"web".into(), &"waiting".into()));
    assert_eq!(
        (&unit["order"], &unit["why"]),
        (&"stop-first".into(), &"no_router".into())
    );
    insta::assert_snapshot!(steps_of(rollout), @"
    preflight: done
    pull: running
    create new container: ahead
    stop old container: ahead
    start new container: ahead
    wait until new container is ready: ahead
    rename to web.prev.00000009: ahead
    rename to web: ahead
    bake: ahead
    remove old container: ahead
    ");
    let plan: serde_json::Value = get("/api/v1/plan").await.json().await.unwrap();
    assert_eq!(&plan["apps"][0]["targets"][0]["rollout"]["steps"], &rollout["steps"]);
    assert_eq!(
        plan["apps"][0]["settings"],
        serde_json::Value::Null,
        "settings are not for everybody"
    );
    let page = get("/").await.text().await.unwrap();
    for shown in [
        "web → ",
        "<a href=\"/rollouts/00000000000000000000000009\">",
        "<code>t1</code>",
        "is in progress",
        "stop-first",
        "waits for its turn",
    ] {
        assert!(page.contains(shown), "{shown} is not in\n{page}");
    }
    let posted = reqwest::Client::new()
        .post(format!("http://{address}/api/v1/plan"))
        .send()
        .await;
    assert_eq!(posted.unwrap().status().as_u16(), 405);
    stop.cancel();
    serving.await.unwrap().unwrap();
}

/// Sends `head` as it is and reads to the end.
async fn raw(address: std::net::SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn a_good_request_gets_its_response_beside_a_thousand_that_never_end() {
    lowtide::runtime::doors::raise_open_files();
    let dir = tempfile::tempdir().unwrap();
    let bot = bot(dir.path()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve_on(Arc::clone(&bot), listener, stop.clone()));
    let mut half_open = Vec::new();
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Who was shown out meanwhile cannot be written to.
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
        half_open.push(stream);
    }
    for path in ["/healthz", "/readyz", "/metrics", "/"] {
        let response = raw(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{path}: {response}");
        assert!(
            response.contains("connection: close"),
            "one question per connection: {response}"
        );
    }
    // The one that was silent for longest made room.
    let mut first = half_open.remove(0);
    let ended = first.read(&mut [0; 64]).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    stop.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn pages_are_served_under_names_of_our_own_only() {
    let dir = tempfile::tempdir().unwrap();
    let bot = bot(dir.path()).await;
    let named = good("web").replace("version: 1\n", "version: 1\nweb: { names: [Status.example.org] }\n");
    let fleet = validate::fleet(named.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
    bot.put_in_force(InForce::new("named".into(), fleet, None, &bot.state).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve_on(Arc::clone(&bot), listener, stop.clone()));
    for (target, host, status) in [
        ("/", "evil.example.com", 421),
        ("/apps/web", "evil.example.com", 421),
        ("/runs/1", "evil.example.com", 421),
        ("/no/such/page", "evil.example.com", 421),
        ("/apps/web", "localhost", 200),
        ("/api/v1/plan", "evil.example.com:7077", 421),
        ("/api/v1/rollouts", "evil.example.com", 421),
        ("http://evil.example.com/", "localhost", 421),
        ("/healthz", "evil.example.com", 200),
        ("/readyz", "evil.example.com", 200),
        ("/metrics", "evil.example.com", 200),
        ("/", "localhost:7077", 200),
        ("/", "127.0.0.1", 200),
        ("/", "[::1]:7077", 200),
        ("/", "status.example.org", 200),
    ] {
        let response = raw(address, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status}")),
            "{target} at {host}: {response}"
        );
    }
    let two = "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.com\r\n\r\n";
    assert!(!raw(address, two).await.starts_with("HTTP/1.1 200"));
    stop.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_command_is_received_beside_hundreds_that_say_nothing() {
    lowtide::runtime::doors::raise_open_files();
    let dir = tempfile::tempdir().unwrap();
    let bot = bot(dir.path()).await;
    let (sender, mut requests) = tokio::sync::mpsc::channel::<Request>(1);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(control::serve(Arc::clone(&bot), sender, stop.clone()));
    let supervisor = tokio::spawn(async move {
        let request = requests.recv().await.unwrap();
        assert!(matches!(request.command, OperatorRequest::Pause { on: true, .. }));
        request.response.send(Ok("paused".to_owned())).unwrap();
    });
    let path = control::socket_path(&bot.state);
    while !path.exists() {
        tokio::task::yield_now().await;
    }
    let mut silent = Vec::new();
    for _ in 0..600 {
        silent.push(tokio::net::UnixStream::connect(&path).await.unwrap());
    }
    let by = "ana".to_owned();
    let mut replies = control::send(&bot.state, &OperatorRequest::Pause { on: true, by })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(replies.recv().await, Some(OperatorResponse::Done("paused".to_owned())));
    supervisor.await.unwrap();
    stop.cancel();
    serving.await.unwrap().unwrap();
}

/// A build that floods: the follower reads nothing meanwhile, and hears how both ended all the same.
#[tokio::test]
async fn a_follower_that_lags_behind_a_flood_receives_the_end_of_both() {
    let dir = tempfile::tempdir().unwrap();
    let bot = bot(dir.path()).await;
    let (sender, mut requests) = tokio::sync::mpsc::channel::<Request>(1);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(control::serve(Arc::clone(&bot), sender, stop.clone()));
    let apps: Vec<AppName> = ["a", "b"].map(|name| name.parse().unwrap()).to_vec();
    let run = OperatorRequest::Run {
        apps: apps.clone(),
        now: false,
        rebuild: false,
        unhealthy: lowtide::model::policy::Unhealthy::default(),
        by: "ops".to_owned(),
    };
    while !control::socket_path(&bot.state).exists() {
        tokio::task::yield_now().await;
    }
    let (mut replies, ()) = tokio::join!(
        async { control::send(&bot.state, &run).await.unwrap().unwrap() },
        async {
            let request = requests.recv().await.unwrap();
            request.response.send(Ok("asked".to_owned())).unwrap();
        }
    );
    let line = |text: String| Progress::Line {
        run: RunId(ulid::Ulid(7)),
        line: text,
    };
    let settles = |app: &AppName| Progress::RequestCompleted {
        app: app.clone(),
        left: Vec::new(),
    };
    bot.watchers.publish(settles(&apps[0]));
    for n in 0..100_000 {
        bot.watchers.publish(line(format!("{n} {}", "x".repeat(200))));
    }
    bot.watchers.publish(settles(&apps[1]));
    let mut settled = Vec::new();
    while let Some(reply) = replies.recv().await {
        if let OperatorResponse::Progress(progress) = reply
            && let Progress::RequestCompleted { app, .. } = *progress
        {
            settled.push(app);
        }
    }
    assert_eq!(settled, apps);
    stop.cancel();
    serving.await.unwrap().unwrap();
}
