//! The repository's own stack around the image under test.

use super::*;

/// A test of the stack in `compose.yml`, whose `web` is the candidate.
fn composed(ready: ReadyCheck, steps: Vec<TestStep>, files: &[(&str, &str)]) -> Attempt {
    let mut test = policy(ready, steps);
    test.how = TestSetup::Compose(ComposeTest {
        env: BTreeMap::from([("GIVEN".to_owned(), "given".into())]),
        ..ComposeTest::default()
    });
    let attempt = Attempt::new(Some(test), up());
    for (path, text) in files {
        attempt.write(path, text);
    }
    attempt
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compose_file_surrounds_the_candidate() {
    let image = Image::running("test \"$DB\" = db && echo connected && exec sleep 1000");
    let stack = r#"
services:
  web:
    build: .
    environment: { DB: db }
    command: [sh, -c, "test $$DB = db && echo as composed && exec sleep 1000"]
    depends_on: { db: { condition: service_healthy }, seed: { condition: service_completed_successfully } }
  seed: { image: lowtide-test/busybox:1, command: "sh -c 'echo seeded > /data/seed'", volumes: ["data:/data"] }
  db:
    image: lowtide-test/busybox:1
    command: httpd -f -p 80 -h /data
    volumes: ["data:/data"]
    depends_on: { seed: { condition: service_completed_successfully } }
    healthcheck: { test: [CMD, wget, -qO, /dev/null, "http://127.0.0.1/seed"], interval: 200ms, retries: 50 }
volumes: { data: {} }
"#;
    let steps = vec![exec("wget -qO - http://db/seed | grep seeded")];
    let mut attempt = composed(log("^as composed$"), steps, &[("compose.yml", stack)]);
    attempt.app.ready = within(log("^connected$"), PATIENCE);
    attempt.app.env.insert("DB".to_owned(), "db".into());
    let effect = attempt.bootstrap(&image).await.unwrap();
    assert_eq!(attempt.left().len(), 5, "three containers, a network, a volume");
    attempt.test(&effect).await.unwrap();
    attempt.nothing_is_left();

    attempt.write(
        "compose.yml",
        "services: { web: { build: ., volumes: [\"/src:/src\"] } }\n",
    );
    let failure = failure(attempt.bootstrap(&image).await);
    assert_eq!(failure.kind, FailureKind::ComposeRefused);
    insta::assert_snapshot!(failure.detail, @r#"compose.yml:1: services.web.volumes[0]: asks for the path /src of the host; the fleet's configuration can allow it: `test.compose.allow: ["path:/src"]`"#);
    attempt.nothing_is_left();
}

/// Folders, single files, secrets, configs, with owners and modes; nothing of it is a path of the host.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_the_commit_are_in_the_containers() {
    let image = Image::running("exec sleep 1000");
    let stack = r#"
services:
  web:
    build: .
    volumes: ["./site:/site:ro", "./one.conf:/etc/app/one.conf:ro", "./gone:/gone", ".:/all"]
    secrets: [password, { source: token, target: api, mode: 0400, uid: "33", gid: "34" }]
    configs: [{ source: inline, target: /etc/app/inline.conf }]
  reader: { image: lowtide-test/busybox:1, command: httpd -f -p 80 -h /site, volumes: ["./site:/site"] }
  locked:
    image: lowtide-test/busybox:1
    read_only: true
    tmpfs: /run
    command: sh -c 'cat /run/secrets/password /etc/app/one.conf; ls /bin/sh; exec sleep 1000'
    volumes: ["./one.conf:/etc/app/one.conf:ro"]
    secrets: [password]
    healthcheck: { test: "grep -q wave /run/secrets/password && grep -q one /etc/app/one.conf", interval: 200ms, retries: 50 }
  after: { image: lowtide-test/busybox:1, command: sleep 1000, depends_on: { web: , locked: { condition: service_healthy } } }
secrets: { password: { file: ./password.txt }, token: { environment: GIVEN } }
configs: { inline: { content: "of ${GIVEN}" } }
"#;
    let steps = vec![
        exec("grep -q hello /site/index.html && ! touch /site/x"),
        exec("wget -qO - http://reader/index.html | grep hello"),
        exec("wget -qO - http://reader/deep/run.sh | grep echo && /site/deep/run.sh | grep ran"),
        exec("grep one /etc/app/one.conf && test -d /gone && test -z \"$(ls /gone)\""),
        exec("grep hello /all/site/index.html && test -L /all/link && grep one /all/link"),
        exec("grep wave /run/secrets/password && test \"$(stat -c %a:%u:%g /run/secrets/api)\" = 400:33:34"),
        exec("test \"$(cat /run/secrets/api)\" = given && test \"$(cat /etc/app/inline.conf)\" = 'of given'"),
    ];
    let files = [
        ("compose.yaml", stack),
        ("site/index.html", "hello\n"),
        ("site/deep/run.sh", "#!/bin/sh\necho ran\n"),
        ("one.conf", "one\n"),
        ("password.txt", "wave\n"),
    ];
    let attempt = composed(up(), steps, &files);
    let tree = attempt.tree.path();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(tree.join("site/deep/run.sh"), executable).unwrap();
    std::os::unix::fs::symlink("one.conf", tree.join("link")).unwrap();
    let effect = attempt.bootstrap(&image).await.unwrap();
    attempt.test(&effect).await.unwrap();
    attempt.nothing_is_left();
    let said = attempt.said();
    assert!(
        said.contains("./gone is not in the commit and is an empty folder"),
        "{said}"
    );
    assert!(
        said.contains("/etc/app/one.conf is a copy that the container can change"),
        "{said}"
    );

    for (link, target) in [("site", "/etc"), ("password.txt", "../outside")] {
        let path = tree.join(link);
        let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        std::fs::write(tree.parent().unwrap().join("outside"), "x").unwrap();
        std::os::unix::fs::symlink(target, &path).unwrap();
        let failure = failure(attempt.bootstrap(&image).await);
        assert_eq!(failure.kind, FailureKind::ComposeRefused, "{failure}");
        assert_eq!(failure.detail, format!("{link} leads out of the repository by a link"));
        std::fs::remove_file(&path).unwrap();
        attempt.write(link, "x");
        attempt.nothing_is_left();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_names_and_namespaces_are_as_the_file_says() {
    let image = Image::running("mkdir /s; echo web > /s/x; exec httpd -f -p 8080 -h /s");
    let stack = r#"
x-serve: &serve { image: lowtide-test/busybox:1, command: "sh -c 'mkdir /s; hostname > /s/x; exec httpd -f -p 80 -h /s'" }
services:
  web:
    build: .
    container_name: shop
    links: ["db:database"]
    networks: { front: { aliases: [www] }, back: }
    extra_hosts: ["far:192.0.2.9"]
    user: "0"
    working_dir: /tmp
    hostname: harbour
    labels: { traefik.enable: "true" }
    mem_limit: 32m
  db: { <<: *serve, hostname: db-host, networks: [back] }
  front: { <<: *serve, networks: [front], hostname: front-host }
  beside: { image: lowtide-test/busybox:1, network_mode: "service:db", pid: "service:db", command: "sh -c 'echo x > /tmp/x; exec httpd -f -p 81 -h /tmp'" }
  once: { image: lowtide-test/busybox:1, command: "true", networks: [back] }
  again: { image: lowtide-test/busybox:1, command: "false", restart: always, networks: [back] }
  proxy:
    image: lowtide-test/busybox:1
    depends_on: [web]
    networks: [front]
    command: sh -c 'wget -qO - http://shop:8080/x && wget -qO - http://www:8080/x && exec sleep 1000'
  idle: { image: nowhere/never:1, profiles: [never] }
networks: { front: , back: { internal: true } }
"#;
    let steps = vec![
        exec("test \"$(wget -qO - http://database/x)\" = db-host"),
        exec("test \"$(wget -qO - http://front/x)\" = front-host"),
        exec("test \"$(wget -qO - http://db:81/x)\" = x"),
        exec("grep 192.0.2.9 /etc/hosts && test \"$(hostname)\" = harbour"),
    ];
    let attempt = composed(http("/x"), steps, &[("docker-compose.yml", stack)]);
    let effect = attempt.bootstrap(&image).await.unwrap();
    let container = &effect.bootstrapped.as_ref().unwrap().container;
    let format = "{{.HostConfig.Memory}} {{index .Config.Labels \"traefik.enable\"}} {{.Config.WorkingDir}}";
    // A label of the file would make the test a target of a proxy or of a rollout.
    assert_eq!(docker(&["inspect", "-f", format, container], ""), "33554432  /tmp");
    attempt.test(&effect).await.unwrap();
    attempt.nothing_is_left();
}

/// Services that are built beside the tested one, and those that run the candidate itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn siblings_are_built_from_the_same_commit() {
    let image = Image::build("RUN echo mark > /mark\nCMD [\"sleep\", \"1000\"]");
    let stack = r#"
services:
  web: { build: ., command: sleep 1000, depends_on: [tool, worker, inline] }
  worker: { build: ., command: sh -c 'mkdir /s; cp /mark /s/x; exec httpd -f -p 80 -h /s' }
  tool: { build: { context: tool, args: { WORD: "${GIVEN}" } } }
  aside: { build: { context: tool, dockerfile: ../Dockerfile.aside }, command: httpd -f -p 80 -h /s }
  inline: { build: { context: ., dockerfile_inline: "FROM lowtide-test/busybox:1\nRUN mkdir /s\nCOPY one.txt /s/x\n" }, command: httpd -f -p 80 -h /s }
"#;
    let files = [
        ("compose.yml", stack),
        (
            "tool/Dockerfile",
            "FROM lowtide-test/busybox:1\nARG WORD\nRUN mkdir /s && echo \"$WORD\" > /s/x\nCMD [\"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/s\"]\n",
        ),
        ("Dockerfile.aside", "FROM lowtide-test/busybox:1\nCOPY word /s/x\n"),
        ("tool/word", "aside\n"),
        ("one.txt", "one\n"),
    ];
    let steps = vec![
        exec("test \"$(wget -qO - http://tool/x)\" = given"),
        exec("test \"$(wget -qO - http://inline/x)\" = one"),
        exec("test \"$(wget -qO - http://worker/x)\" = mark"),
        exec("test \"$(wget -qO - http://aside/x)\" = aside"),
    ];
    let built = || docker(&["images", "-q", "--filter", "label=io.lowtide.stack"], "");
    let mut attempt = composed(up(), steps, &files);
    attempt.app.tests[0].how = TestSetup::Compose(ComposeTest {
        service: Some("web".to_owned()),
        env: BTreeMap::from([("GIVEN".to_owned(), "given".into())]),
        ..ComposeTest::default()
    });
    let effect = attempt.bootstrap(&image).await.unwrap();
    assert_ne!(built(), "");
    attempt.test(&effect).await.unwrap();
    attempt.nothing_is_left();
    assert_eq!(built(), "", "what was built for the test goes with it");

    attempt.write("tool/Dockerfile", "FROM lowtide-test/busybox:1\nRUN exit 3\n");
    let failure = failure(attempt.bootstrap(&image).await);
    assert_eq!(failure.kind, FailureKind::BuildFailed, "{failure}");
    assert!(failure.detail.starts_with("sidecar tool: "), "{failure}");
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_fails_is_named() {
    let image = Image::running("exec sleep 1000");
    for (service, expected) in [
        (
            "{ image: lowtide-test/busybox:1, command: sh -c 'echo broken; exit 3' }",
            "sidecar db exited with code 3",
        ),
        (
            "{ image: \"127.0.0.1:1/no/such:1\" }",
            "the image 127.0.0.1:1/no/such:1 of sidecar db cannot be had",
        ),
    ] {
        let stack = format!("services: {{ web: {{ build: ., depends_on: [db] }}, db: {service} }}\n");
        // Nobody waits for the sidecar's end, and it comes before the candidate is ready.
        let attempt = composed(
            ReadyCheck::Steady {
                stay_up: jiff::SignedDuration::from_secs(2),
            },
            Vec::new(),
            &[("compose.yml", stack.as_str())],
        );
        let failure = failure(attempt.bootstrap(&image).await);
        assert!(failure.detail.starts_with(expected), "{failure}");
        attempt.nothing_is_left();
    }
}
