//! The pages of an app, a run and a rollout, and a run's logs.

use super::past::{self, DONE, FAILED, OPEN, RELEASED, REVERTED, SCRIPT, SECOND};
use super::{good, rolling};
use lowtide::config::validate;
use lowtide::runtime::bot::{Bot, InForce};
use lowtide::web::serve::serve_on;
use regex::Regex;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A client of a bot.
struct Visitor(SocketAddr);

impl Visitor {
    async fn of(bot: &Arc<Bot>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve_on(Arc::clone(bot), listener, CancellationToken::new()));
        lowtide::clients::tls::ready();
        Self(address)
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        reqwest::get(format!("http://{}{path}", self.0)).await.unwrap()
    }

    /// A page as it is, after a look at what every page has.
    async fn page(&self, path: &str, status: u16) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'unsafe-inline'"),
            "{policy}"
        );
        let page = response.text().await.unwrap();
        for part in [
            "<html lang=\"en\">",
            "<title>",
            "href=\"#main\"",
            "<main id=\"main\"",
            "<header>",
            "<nav ",
        ] {
            assert!(page.contains(part), "{part} is not in {path}: {page}");
        }
        assert_eq!(page.matches("<h1>").count(), 1, "{path}");
        assert!(!page.contains("<script") && !page.contains("src="), "{path}: {page}");
        assert!(!page.contains('\u{1b}'), "{path}");
        assert!(!page.contains("tell-nobody"), "settings are not for everybody: {path}");
        assert_eq!(
            page.matches("<table").count(),
            page.matches("<caption").count(),
            "{path}"
        );
        assert_eq!(headings(&page), sorted_out(&headings(&page)), "{path}");
        page
    }

    /// What a person reads of it, without its moments.
    async fn text(&self, path: &str) -> String {
        text_of(&self.page(path, 200).await)
    }
}

/// Levels of the headings, in their order.
fn headings(page: &str) -> Vec<u32> {
    let levels = page
        .split("<h")
        .skip(1)
        .filter_map(|rest| rest.chars().next()?.to_digit(10));
    levels.collect()
}

/// The same with no level that is left out on the way down.
fn sorted_out(levels: &[u32]) -> Vec<u32> {
    let mut before = 0;
    let bounded = levels.iter().map(|level| {
        before = (*level).min(before + 1);
        before
    });
    bounded.collect()
}

fn text_of(page: &str) -> String {
    let without = |text: &str, pattern: &str, by: &str| Regex::new(pattern).unwrap().replace_all(text, by).into_owned();
    let text = without(page, "(?s)<style>.*?</style>|<head>.*?</head>|<title>.*?</title>", "");
    let text = without(&text, "</(td|th|dt|a|summary|span|code|strong)>", " ");
    let text = without(&text, "</(p|tr|dd|h1|h2|h3|li|figcaption|pre|thead)>", "\n");
    let text = without(&text, "<[^>]*>", "");
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
        .replace("&quot;", "\"");
    let text = without(&text, r"\d{4}-\d\d-\d\d \d\d:\d\d", "MOMENT");
    let text = without(&text, r"(?m)^(\d\d-\d\d )?\d\d:\d\d:\d\d", "TIME");
    let text = without(&text, "(?m)^next run .*$", "next run NEXT");
    let text = without(&text, r"under way for \d+ s", "under way for LENGTH");
    let text = without(&text, "open for another [^,]*,", "open for another LENGTH,");
    let lines = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_page_of_an_app_says_what_runs_what_comes_and_what_was() {
    let dir = tempfile::tempdir().unwrap();
    let visitor = Visitor::of(&past::bot(dir.path()).await).await;
    let page = visitor.page("/apps/web", 200).await;
    insta::assert_snapshot!(text_of(&page), @r#"
    Skip to content lowtide
    web
    halted for 46 hours; runs an image 3 days old
    lowtide-test · MOMENT UTC
    Halted for 46 hours. A rollout was rolled back. The new container did not become ready: web answered 500 for 2 min.
    Rollout 00000009 to container-web halted it 46 h ago.
    What lifts the halt: lowtide resume web --reason "…"
    Plan
    mode active
    next run NEXT
    halted for 46 hours. A rollout was rolled back. The new container did not become ready: web answered 500 for 2 min.
    runs an image 3 days old
    container-web nothing waits; its window is open until MOMENT UTC
    a rollout may need 6 min 20 s, including bake (2 min) and rollback, by the target's limits
    Last release
    tag t2
    image registry.example.org/web:t2
    digest sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
    commit 3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d
    built 2 d ago, by run 00000002
    What runs
    Release of each target and channelName Kind Has Had before
    container-web target t1 –
    stable channel – –
    Missing fixes
    web runs an image 3 days old.
    No missing security fix is known.
    Over time
    Length of runs
    Last 7 min 0 s; from 7 min 0 s to 9 min 0 s in 3 runs since MOMENT UTC
    Pending security fixes before each run
    Last 1; from 1 to 1 in 4 runs since MOMENT UTC
    Image size
    Last 95.0 MiB; from 90.0 MiB to 120.0 MiB in 3 runs since MOMENT UTC
    Last runs
    The last runs, newest firstRun Started Took Trigger Result
    00000004 1 h ago – its schedule under way
    00000003 24 h ago 7 min 0 s its schedule failed at test: tests failed
    00000002 2 d ago 9 min 0 s its schedule released t2
    00000001 3 d ago 9 min 0 s its schedule released t1
    Last rollouts
    The last rollouts, newest firstRollout Target Release Started Took Result
    00000009 container-web t2 46 h ago 2 min 0 s rolled back: the new container did not become ready
    00000008 container-web t1 2 d ago 1 min 30 s done
    "#);
    for link in [
        format!("/runs/{RELEASED}"),
        format!("/runs/{FAILED}"),
        format!("/rollouts/{DONE}"),
        format!("/rollouts/{REVERTED}"),
    ] {
        assert!(page.contains(&format!("href=\"{link}\"")), "{link} is not in {page}");
        assert_eq!(visitor.get(&link).await.status().as_u16(), 200);
    }
    assert_eq!(page.matches("<svg").count(), 3, "{page}");
    assert!(page.contains("http-equiv=\"refresh\""), "a run is under way");
    assert_eq!(
        text_of(&page),
        visitor.text("/apps/w%65b").await,
        "an address is decoded"
    );
}

#[tokio::test]
async fn the_page_of_a_new_app_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let visitor = Visitor::of(&super::bot(dir.path()).await).await;
    let page = visitor.page("/apps/web", 200).await;
    insta::assert_snapshot!(text_of(&page), @"
    Skip to content lowtide
    web
    new
    lowtide-test · MOMENT UTC
    Plan
    mode observe: builds and tests, pushes and rolls out nothing
    next run NEXT
    rollout no target is configured
    Last release
    There is none yet.
    Last runs
    The last runs, newest firstRun Started Took Trigger Result
    No runs yet.
    ");
    assert!(!page.contains("<svg") && !page.contains("http-equiv"), "{page}");
}

/// A mail of last week still leads somewhere.
#[tokio::test]
async fn the_runs_and_rollouts_of_an_app_outlive_its_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let bot = past::bot(dir.path()).await;
    let visitor = Visitor::of(&bot).await;
    let fleet = validate::fleet(good("other").as_bytes()).unwrap();
    bot.put_in_force(InForce::new("other".into(), fleet, None, &bot.state).unwrap());
    visitor.page("/apps/web", 404).await;
    visitor.page(&format!("/runs/{FAILED}"), 200).await;
    visitor.page(&format!("/rollouts/{REVERTED}"), 200).await;
}

#[tokio::test]
async fn the_page_of_a_failed_run_says_why_and_shows_its_logs() {
    let dir = tempfile::tempdir().unwrap();
    let visitor = Visitor::of(&past::bot(dir.path()).await).await;
    let page = visitor.page(&format!("/runs/{FAILED}"), 200).await;
    insta::assert_snapshot!(text_of(&page), @"
    Skip to content lowtide
    web
    Run 00000003 of web
    failed at test: tests failed
    About this run
    run 00000000000000000000000003
    app web
    trigger its schedule
    started MOMENT UTC
    config r1
    commit 3f2a9c1 Say hello <script>alert(1)</script> (Dev)
    page https://github.com/example/web/commit/3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d
    rebuilt for 1 package is pending (1 for security)
    result failed at test: tests failed
    Stages
    Stages, in the order they ranStage State Took Note
    resolve ✓ done 1 min 0 s 3f2a9c1d3f2a, 0 bases
    build ✓ done 1 min 0 s bbbbbbbbbbbb, 95.0 MiB
    test ✗ failed 1 min 0 s tests failed
    Why
    Tests failed: exec /run exited with 1: <script>alert(1)</script>.
    failed: suite.<script>alert(1)</script>
    expected 1, got 2
    What to do next
    Correct the code or the named tests, and push; the next run picks it up.
    Who needs to act
    The app's maintainers: the cause is in the repository.
    Logs
    build, 27 B The log as text, build
    #1 FROM debian
    #2 RUN make
    test, 53 B The log as text, test
    1..2
    not ok 1 <script>alert(1)</script> red
    ");
    let link = format!(
        "href=\"https://github.com/example/web/commit/{}\"",
        "3f2a9c1d".repeat(5)
    );
    assert!(page.contains(&link), "{page}");
    assert!(
        page.contains(&SCRIPT.replace('<', "&lt;").replace('>', "&gt;")),
        "{page}"
    );
    assert!(!page.contains("http-equiv"), "it is over");
    let lower = format!("/runs/{FAILED}").to_lowercase();
    assert_eq!(visitor.page(&lower, 200).await, page);
}

#[tokio::test]
async fn the_page_of_a_released_run_has_its_tests_and_what_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let visitor = Visitor::of(&past::bot(dir.path()).await).await;
    insta::assert_snapshot!(visitor.text(&format!("/runs/{SECOND}")).await, @"
    Skip to content lowtide
    web
    Run 00000002 of web
    released t2
    About this run
    run 00000000000000000000000002
    app web
    trigger its schedule
    started MOMENT UTC
    config r1
    commit 3f2a9c1 Say hello <script>alert(1)</script> (Dev)
    page https://github.com/example/web/commit/3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d
    rebuilt for 1 package is pending (1 for security)
    result released t2
    Stages
    Stages, in the order they ranStage State Took Note
    resolve ✓ done 1 min 0 s 3f2a9c1d3f2a, 0 bases
    build ✓ done 1 min 0 s bbbbbbbbbbbb, 90.0 MiB
    inspect ✓ done 1 min 0 s 1 package differs
    test ✓ done 1 min 0 s 128 passed, 1 failed
    Tests
    128 passed, 2 skipped, 1 failed
    suite.<script>alert(1)</script>
    it is flaky
    What changed
    Packages that differPackage Versions
    openssl 3.0.15-1 → 3.0.16-1
    Logs
    It wrote none, or they are past their time (retention.logs ).
    ");
}

#[tokio::test]
async fn the_page_of_an_open_run_shows_its_stage_and_its_log_so_far_and_loads_again() {
    let dir = tempfile::tempdir().unwrap();
    let bot = past::bot(dir.path()).await;
    let visitor = Visitor::of(&bot).await;
    let path = format!("/runs/{OPEN}");
    let page = visitor.page(&path, 200).await;
    assert!(page.contains("<meta http-equiv=\"refresh\" content=\"10\">"), "{page}");
    insta::assert_snapshot!(text_of(&page), @"
    Skip to content lowtide
    web
    Run 00000004 of web
    under way : build
    About this run
    run 00000000000000000000000004
    app web
    trigger its schedule
    started MOMENT UTC
    config r1
    commit 3f2a9c1 Say hello <script>alert(1)</script> (Dev)
    page https://github.com/example/web/commit/3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d
    rebuilt for 1 package is pending (1 for security)
    result under way
    Stages
    Stages, in the order they ranStage State Took Note
    resolve ✓ done 1 min 0 s 3f2a9c1d3f2a, 0 bases
    build under way –
    Logs
    build, 31 B The log as text, build
    #1 FROM debian
    #2 RUN make all
    ");
    assert!(page.contains("<details open>"), "{page}");
    let log = bot.run_directory(OPEN).join("build.log");
    std::fs::write(&log, "#3 RUN make install\n").unwrap();
    assert!(visitor.page(&path, 200).await.contains("#3 RUN make install"));
}

#[tokio::test]
async fn the_page_of_a_rollout_says_how_it_ended_why_and_what_lifts_the_halt() {
    let dir = tempfile::tempdir().unwrap();
    let visitor = Visitor::of(&past::bot(dir.path()).await).await;
    insta::assert_snapshot!(visitor.text(&format!("/rollouts/{REVERTED}")).await, @r#"
    Skip to content lowtide
    web
    Rollout 00000009 of web to container-web
    rolled back: the new container did not become ready
    About this rollout
    rollout 00000000000000000000000009
    app web
    target container-web
    release t2
    started MOMENT UTC
    result rolled back: the new container did not become ready
    web is halted for 46 hours, until it is resumed.
    What lifts the halt: lowtide resume web --reason "…" , or the form below with --form FILE . Then the next 3 new releases are watched twice as long on each target.
    The form # Rollout 00000009 of web on container-web, MOMENT UTC: rolled back: the new container did not become ready
    # Fill in, then: lowtide resume web --form FILE
    whys: # one to five: why did it happen, and why that?
    - ""
    root: open # reached: the last why is the root cause; needed with fewer than five
    class: # image | test-gap | config | environment | noise
    countermeasure: # at least one of the two
    commit: "" # on the tracked branch, newer than 3f2a9c1; changes **/*test* or **/tests/** or **/test/**
    config: false # true: the app's configuration was changed since the halt; noise needs it
    Containers and services
    web → container-web t2 Replica Before Steps Order State
    web t1 2 of 3 stop-first (no router would pick up a new container) is back
    Why
    The new container did not become ready: web answered 500 for 2 min.
    New container web, exit code 137.
    cannot open <script>alert(1)</script>
    What to do next
    Look at the new container's last lines above.
    Who needs to act
    The app's maintainers: the cause is in the repository.
    Steps
    Steps of the rollout, in their orderReplica Step State
    preflight done, 10 s
    pull done, 10 s
    web create new container done, 10 s
    wait until new container is ready failed
    save log done, 10 s
    What happened
    TIME t2 for container-web
    TIME preflight, 10 s
    TIME pull, 10 s
    TIME create new container (web), 10 s
    TIME wait until new container is ready (web), 10 s: FAILED. The new container did not become ready: web answered 500 for 2 min.
    TIME GOING BACK. The new container did not become ready: web answered 500 for 2 min.
    TIME save log (web), 10 s
    TIME rolled back: the new container did not become ready
    Readiness
    web, new container: not ready after 10 s. The new container did not become ready: web answered 500 for 2 min.
    "#);
    let done = visitor.page(&format!("/rollouts/{DONE}"), 200).await;
    assert!(done.contains(&format!("href=\"/runs/{RELEASED}\"")), "{done}");
    insta::assert_snapshot!(text_of(&done), @"
    Skip to content lowtide
    web
    Rollout 00000008 of web to container-web
    done
    About this rollout
    rollout 00000000000000000000000008
    app web
    target container-web
    release t1
    started MOMENT UTC
    result done
    Containers and services
    web → container-web t1 Replica Before Steps Order State
    web t1 2 of 2 stop-first (no router would pick up a new container) runs the release
    Steps
    Steps of the rollout, in their orderReplica Step State
    preflight done, 10 s
    pull done, 10 s
    web create new container done, 10 s
    wait until new container is ready done, 10 s
    What happened
    TIME t1 for container-web
    TIME preflight, 10 s
    TIME pull, 10 s
    TIME create new container (web), 10 s
    TIME wait until new container is ready (web), 10 s
    TIME done
    Readiness
    web, new container: ready after 10 s.
    ");
}

#[tokio::test]
async fn the_page_of_an_open_rollout_shows_what_is_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let visitor = Visitor::of(&rolling(dir.path()).await).await;
    let page = visitor.page("/rollouts/00000000000000000000000009", 200).await;
    insta::assert_snapshot!(text_of(&page), @"
    Skip to content lowtide
    web
    Rollout 00000009 of web to container-web
    under way
    About this rollout
    rollout 00000000000000000000000009
    app web
    target container-web
    release t1
    started MOMENT UTC
    result under way
    Containers and services
    web → container-web t1 is in progress ; its window is open for another LENGTH, until MOMENT UTC Replica Before Steps Order State
    web aaaaaaaaaaaa 0 of 7 stop-first (no router would pick up a new container) waits for its turn
    Steps
    Steps of the rollout, in their orderReplica Step State
    preflight done, 0 s
    pull under way for LENGTH
    web create new container ahead
    stop old container ahead
    start new container ahead
    wait until new container is ready ahead
    rename to web.prev.00000009 ahead
    rename to web ahead
    bake, 2 min ahead
    web remove old container ahead
    What happened
    TIME t1 for container-web
    TIME preflight, 0 ms
    ");
    assert!(page.contains("http-equiv=\"refresh\""), "{page}");
    assert!(
        !page.contains("href=\"/runs/"),
        "the run of its release is not in the journal"
    );
    // The app's page has it too, and links there.
    let app = visitor.page("/apps/web", 200).await;
    assert!(app.contains("href=\"/rollouts/00000000000000000000000009\""), "{app}");
}

#[tokio::test]
async fn what_is_not_there_is_a_page_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let visitor = Visitor::of(&past::bot(dir.path()).await).await;
    let mut said = Vec::new();
    for path in [
        "/apps/wbe",
        "/apps/NO%20SUCH%3Cb%3E",
        "/apps/%ff",
        "/apps/",
        "/apps/web/more",
        "/runs/0000000000000000000000000Z",
        "/runs/..%2f..%2fetc",
        "/runs/x",
        &format!("/runs/{DONE}"),
        &format!("/rollouts/{FAILED}"),
        "/rollouts/%00",
        &format!("/runs/{FAILED}/log/resolve"),
        &format!("/runs/{FAILED}/log/..%2fbuild"),
        &format!("/runs/{FAILED}/log/production"),
        &format!("/runs/{FAILED}/log/%ff"),
        "/nowhere",
    ] {
        let page = visitor.page(path, 404).await;
        assert!(page.contains("<a href=\"/\">All apps</a>"), "{page}");
        let text = text_of(&page);
        let why = text.lines().find(|line| line.starts_with("There is ")).unwrap();
        said.push(format!("{path}: {why}"));
    }
    insta::assert_snapshot!(said.join("\n"), @"
    /apps/wbe: There is no such app: wbe; did you mean web?
    /apps/NO%20SUCH%3Cb%3E: There is no such app: NO SUCH<b>.
    /apps/%ff: There is no such page.
    /apps/: There is no such page.
    /apps/web/more: There is no such page.
    /runs/0000000000000000000000000Z: There is no run 0000000000000000000000000Z, or its journal is past its time (retention.history ).
    /runs/..%2f..%2fetc: There is no run ../../etc, or its journal is past its time (retention.history ).
    /runs/x: There is no run x, or its journal is past its time (retention.history ).
    /runs/00000000000000000000000008: There is no run 00000000000000000000000008, or its journal is past its time (retention.history ).
    /rollouts/00000000000000000000000003: There is no rollout 00000000000000000000000003, or its journal is past its time (retention.history ).
    /rollouts/%00: There is no such rollout.
    /runs/00000000000000000000000003/log/resolve: There is no log resolve of this run: it wrote none, or it is past its time (retention.logs ).
    /runs/00000000000000000000000003/log/..%2fbuild: There is no log ../build of this run: it wrote none, or it is past its time (retention.logs ).
    /runs/00000000000000000000000003/log/production: There is no log production of this run: it wrote none, or it is past its time (retention.logs ).
    /runs/00000000000000000000000003/log/%ff: There is no such page.
    /nowhere: There is no such page.
    ");
}

#[tokio::test]
async fn a_log_is_plain_text_and_a_large_one_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let bot = past::bot(dir.path()).await;
    let visitor = Visitor::of(&bot).await;
    let response = visitor.get(&format!("/runs/{FAILED}/log/test")).await;
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert!(response.headers().contains_key("content-security-policy"));
    assert_eq!(response.text().await.unwrap(), format!("1..2\nnot ok 1 {SCRIPT} red\n"));
    let line = format!("{}\n", "x".repeat(1023));
    std::fs::write(bot.run_directory(FAILED).join("build.log"), line.repeat(10 << 10)).unwrap();
    let text = visitor
        .get(&format!("/runs/{FAILED}/log/build"))
        .await
        .text()
        .await
        .unwrap();
    let (note, rest) = text.split_once('\n').unwrap();
    insta::assert_snapshot!(note, @"--- the first 6.0 MiB are left out here; the run's directory has all of it");
    assert!(rest.len() <= 4 << 20 && rest.len() > 3 << 20, "{}", rest.len());
    // On the page is its end alone.
    let page = visitor.page(&format!("/runs/{FAILED}"), 200).await;
    assert!(
        page.len() < 150_000 && page.contains("below is its end"),
        "{}",
        page.len()
    );
}
