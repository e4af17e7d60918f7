//! What a test runs of a project, and what it does not.

use lowtide_compose::load::{Request, load};
use lowtide_compose::service::Service;
use lowtide_compose::stack::{Choice, Stack, plan};
use std::collections::{BTreeMap, BTreeSet};

fn planned(text: &str, service: Option<&str>, allow: &[&str]) -> Result<Stack, String> {
    let read = |path: &str| Ok((path == "compose.yml").then(|| text.as_bytes().to_vec()));
    let request = Request {
        files: vec!["compose.yml".to_owned()],
        project: "t".to_owned(),
        env: BTreeMap::from([("GIVEN".to_owned(), "given".to_owned())]),
    };
    let project = load(&request, &read).map_err(|error| error.to_string())?;
    let allow: BTreeSet<String> = allow.iter().map(|right| (*right).to_owned()).collect();
    let choice = Choice {
        service,
        tester: None,
        image: Some("registry.example.org/shop/web"),
        dockerfile: "Dockerfile",
        target: None,
        profiles: &["debug".to_owned()],
        allow: &allow,
    };
    plan(&project, &choice).map_err(|refused| refused.0.iter().map(|it| format!("{it}\n")).collect())
}

fn line(service: &Service) -> String {
    let Service {
        name,
        image,
        platform,
        environment,
        entrypoint,
        command,
        healthcheck,
        settings,
        mounts,
        files,
        connection,
        joins,
        volumes_from,
        depends_on,
        restart,
    } = service;
    let mut out = format!("{name}: {image:?} {connection:?} {restart:?}\n");
    let mut say = |what: &str, empty: bool, text: String| {
        if !empty {
            out.push_str(&format!("    {what} {text}\n"));
        }
    };
    say("platform", platform.is_none(), format!("{platform:?}"));
    say("environment", environment.is_empty(), format!("{environment:?}"));
    say("entrypoint", entrypoint.is_none(), format!("{entrypoint:?}"));
    say("command", command.is_none(), format!("{command:?}"));
    say("healthcheck", healthcheck.is_none(), format!("{healthcheck:?}"));
    say(
        "settings",
        settings.is_empty(),
        serde_json::to_string(settings).unwrap_or_default(),
    );
    for mount in mounts {
        say("mount", false, format!("{mount:?}"));
    }
    for file in files {
        say("file", false, format!("{file:?}"));
    }
    say("joins", joins.is_empty(), format!("{joins:?}"));
    say("volumes_from", volumes_from.is_empty(), format!("{volumes_from:?}"));
    say("depends_on", depends_on.is_empty(), format!("{depends_on:?}"));
    out
}

fn shown(text: &str) -> String {
    let stack = match planned(text, None, &[]) {
        Ok(stack) => stack,
        Err(refused) => return refused,
    };
    let mut out: String = stack.before.iter().map(line).collect();
    out.push_str("tested ");
    out.push_str(&line(&stack.tested));
    out.extend(stack.after.iter().map(line));
    out.push_str(&format!("networks {:?}\nvolumes {:?}\n", stack.networks, stack.volumes));
    out.push_str(&stack.notes.join("\n"));
    out
}

#[test]
fn a_stack_as_people_write_it() {
    insta::assert_snapshot!(shown(
        r#"
services:
  proxy: { image: nginx, depends_on: [web], volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro"], ports: ["80:80"] }
  web:
    build: .
    container_name: shop
    environment: { DATABASE: "db:${PORT}", TOKEN: , GIVEN: }
    depends_on:
      db: { condition: service_healthy }
      migrate: { condition: service_completed_successfully }
    links: ["db:database"]
    secrets: [password, { source: token, target: api, mode: 0400, uid: "33" }]
    networks: { front: { aliases: [www] }, back: }
    user: "33:33"
    working_dir: /srv
    read_only: true
    mem_limit: 512m
    deploy: { replicas: 3, resources: { limits: { memory: 256M, cpus: "0.5" } } }
    ulimits: { nofile: { soft: 1024, hard: 2048 }, nproc: 64 }
  migrate: { build: { context: tools, dockerfile: Dockerfile.migrate, args: { A: 1 }, secrets: [password, { source: token, target: npm }] }, command: up, depends_on: [db], networks: [back] }
  db:
    image: mariadb:11
    restart: on-failure:3
    volumes: ["data:/var/lib/mysql", "./seed:/docker-entrypoint-initdb.d:ro", /tmp/x]
    tmpfs: /run/mysqld:size=1m
    healthcheck: { test: healthcheck.sh, interval: 1s, retries: 5 }
    networks: [back]
    sysctls: [net.core.somaxconn=1024]
  worker: { image: registry.example.org/shop/tool:1, network_mode: "service:db", pid: "service:db", volumes_from: ["db:ro"] }
  debug: { image: busybox, profiles: [debug], stop_grace_period: 1m30s, extra_hosts: ["a:1.2.3.4"] }
  off: { image: busybox, profiles: [other], privileged: true }
networks: { front: , back: { internal: true } }
volumes: { data: { driver_opts: { type: tmpfs, device: tmpfs } } }
secrets: { password: { file: ./password.txt }, token: { environment: GIVEN } }
"#
    ), @r#"
    db: Reference("mariadb:11") Networks([Member { network: "back", aliases: [], links: [] }]) OnFailure(Some(3))
        healthcheck Some(Healthcheck { test: ["CMD-SHELL", "healthcheck.sh"], interval: Some(1s), timeout: None, start_period: None, retries: Some(5) })
        settings {"HostConfig":{"Sysctls":{"net.core.somaxconn":"1024"}}}
        mount Mount { target: "/var/lib/mysql", read_only: false, source: Volume("data") }
        mount Mount { target: "/docker-entrypoint-initdb.d", read_only: true, source: Repository("seed") }
        mount Mount { target: "/tmp/x", read_only: false, source: Anonymous }
        mount Mount { target: "/run/mysqld", read_only: false, source: Memory { options: "size=1m" } }
    migrate: Build(Build { context: "tools", dockerfile: File("Dockerfile.migrate"), args: {"A": "1"}, target: None, secrets: {"npm": Text(5 bytes), "password": Repository("password.txt")} }) Networks([Member { network: "back", aliases: [], links: [] }]) Never
        command Some(["up"])
        depends_on {"db": Started}
    worker: Reference("registry.example.org/shop/tool:1") Of("db") Never
        joins {"pid": "db"}
        volumes_from [("db", true)]
        depends_on {"db": Started}
    debug: Reference("busybox") Networks([Member { network: "default", aliases: [], links: [] }]) Never
        settings {"StopTimeout":90,"HostConfig":{"ExtraHosts":["a:1.2.3.4"]}}
    tested web: Candidate Networks([Member { network: "front", aliases: ["www", "shop"], links: [("db", "database")] }, Member { network: "back", aliases: ["shop"], links: [("db", "database")] }]) Never
        environment {"DATABASE": "db:", "GIVEN": "given"}
        settings {"User":"33:33","WorkingDir":"/srv","HostConfig":{"ReadonlyRootfs":true,"Memory":268435456,"NanoCpus":500000000,"Ulimits":[{"Name":"nofile","Soft":1024,"Hard":2048},{"Name":"nproc","Soft":64,"Hard":64}]}}
        file File { target: "/run/secrets/password", mode: 292, uid: 0, gid: 0, content: Repository("password.txt") }
        file File { target: "/run/secrets/api", mode: 256, uid: 33, gid: 0, content: Text(5 bytes) }
        depends_on {"db": Healthy, "migrate": Completed}
    proxy: Reference("nginx") Networks([Member { network: "default", aliases: [], links: [] }]) Never
        mount Mount { target: "/etc/nginx/nginx.conf", read_only: true, source: Repository("nginx.conf") }
        depends_on {"web": Started}
    networks {"back": Own { internal: true }, "default": Own { internal: false }, "front": Own { internal: false }}
    volumes {"data": Volume { driver: None, options: {"device": "tmpfs", "type": "tmpfs"} }}
    the variable PORT has no value and is read as empty; `test.compose.env` can give it one
    services.web.deploy.replicas is 3, and a test runs one
    "#);
}

#[test]
fn what_is_not_run_is_refused_by_key_and_line() {
    insta::assert_snapshot!(shown(
        r#"
services:
  web:
    build: .
    image: registry.example.org/shop/web:${TAG}
    privileged: true
    cap_add: [SYS_ADMIN]
    volumes: ["/var/run/docker.sock:/var/run/docker.sock", "nowhere:/x", { type: bind, source: ./a, target: relative }]
    secrets: [gone, outside, external]
    network_mode: prod_net
    mem_limit: much
    stop_grace_period: soon
    restart: sometimes
    provider: { type: x }
    gpus: all
    depends_on: { off: , db: { condition: service_maybe } }
  db: { image: x, networks: { default: { aliases: [web] } }, network_mode: "" }
  off: { image: x, profiles: [other] }
  bare: { command: x }
  tool: { build: { context: ../other, ssh: [default], args: [A=1] } }
secrets: { outside: { file: ../x }, external: { external: true }, env: { environment: NONE } }
models: { x: }
"#
    ), @r#"
    compose.yml:6: services.web.privileged: asks for privileged mode; the fleet's configuration can allow it: `test.compose.allow: ["privileged"]`
    compose.yml:7: services.web.cap_add: asks for the capability SYS_ADMIN; the fleet's configuration can allow it: `test.compose.allow: ["capability:SYS_ADMIN"]`
    compose.yml:8: services.web.volumes[0]: asks for the engine's socket (/var/run/docker.sock); the fleet's configuration can allow it: `test.compose.allow: ["engine-socket"]`
    compose.yml:8: services.web.volumes[1]: the volume nowhere is not under volumes
    compose.yml:8: services.web.volumes[2]: has the target `relative`, which is no absolute path
    compose.yml:9: services.web.secrets[0]: gone is not under secrets
    compose.yml:10: services.web.network_mode: is prod_net; name the network under networks
    compose.yml:11: services.web.mem_limit: is not a size such as 512m
    compose.yml:12: services.web.stop_grace_period: is not a duration such as 1m30s
    compose.yml:13: services.web.restart: is sometimes, which Compose does not know
    compose.yml:14: services.web.provider: is not known to lowtide
    compose.yml:15: services.web.gpus: asks for a GPU; a test gets none
    compose.yml:16: services.web.depends_on.off: is no service of this project, or none of its profiles is on (`test.compose.profiles`)
    compose.yml:16: services.web.depends_on.db: has the condition service_maybe, which Compose does not know
    compose.yml:19: services.bare: has neither an image nor a build
    compose.yml:20: services.tool.build.context: is not in the repository; only its own folders are built
    compose.yml:20: services.tool.build.ssh: is not done for a service beside the tested one
    compose.yml:21: services.web.secrets[1]: the file ../x is not in the repository
    compose.yml:21: services.web.secrets[2]: is external: the engine of a test does not have it
    compose.yml:22: models: is not known to lowtide
    "#);
}

#[test]
fn the_service_under_test_is_found() {
    let of = |text: &str, service: Option<&str>| match planned(text, service, &[]) {
        Ok(stack) => stack.tested.name,
        Err(why) => why.trim().to_owned(),
    };
    let cases = [
        ("services: { a: { image: x }, b: { build: . } }", None),
        ("services: { a: { image: x }, b: { build: . } }", Some("a")),
        (
            "services: { a: { build: . }, b: { image: \"registry.example.org/shop/web:latest\" } }",
            None,
        ),
        (
            "services: { a: { build: ., image: registry.example.org/shop/web }, b: { image: registry.example.org/shop/web } }",
            None,
        ),
        ("services: { a: { build: . }, b: { build: b } }", None),
        ("services: { a: { image: x }, b: { image: y } }", None),
        (
            "services: { a: { build: { context: ., dockerfile: tools/Dockerfile } }, b: { build: . } }",
            None,
        ),
        (
            "services: { a: { image: registry.example.org/shop/web }, b: { image: registry.example.org/shop/web } }",
            None,
        ),
        ("services: { a: { build: . } }", Some("b")),
        ("services: {}", None),
        (
            "services: { a: { build: ., depends_on: [b] }, b: { image: x, depends_on: [a] } }",
            None,
        ),
        (
            "services: { a: { build: . }, b: { image: x, depends_on: { a: { condition: service_completed_successfully } } } }",
            None,
        ),
        (
            "services: { a: { build: ., container_name: db }, db: { image: x } }",
            None,
        ),
    ];
    let table: Vec<String> = cases.iter().map(|(text, service)| of(text, *service)).collect();
    insta::assert_snapshot!(table.join("\n"), @r"
    b
    a
    b
    a
    a
    services: none of a, b is built or has the app's image; say which one is tested: `test.compose.service`
    b
    services: a, b could be the one that is tested; say which: `test.compose.service`
    services: the service under test, b, is not there; there are a
    services: there is none
    compose.yml:1: services.a.depends_on: a, b wait for each other
    compose.yml:1: services.b.depends_on.a: waits for the end of the service under test
    compose.yml:1: services.db: is called db on the network default, and so is a
    ");
}

#[test]
fn rights_that_the_fleet_gives() {
    let text = "services: { a: { build: ., cap_add: [NET_ADMIN], devices: [\"/dev/fuse\"], network_mode: host, volumes: [\"/etc/localtime:/etc/localtime:ro\", \"shared:/s\"] } }\nvolumes: { shared: { external: true } }\n";
    let all = [
        "capability:NET_ADMIN",
        "device:/dev/fuse",
        "namespace:network",
        "path:/etc/localtime",
        "volume:shared",
    ];
    let stack = planned(text, None, &all).unwrap();
    insta::assert_snapshot!(line(&stack.tested), @r#"
    a: Candidate Host Never
        settings {"HostConfig":{"CapAdd":["NET_ADMIN"],"Devices":[{"PathInContainer":"/dev/fuse","PathOnHost":"/dev/fuse","CgroupPermissions":"rwm"}]}}
        mount Mount { target: "/etc/localtime", read_only: true, source: Host { kind: "bind", name: "/etc/localtime" } }
        mount Mount { target: "/s", read_only: false, source: Host { kind: "volume", name: "shared" } }
    "#);
    insta::assert_snapshot!(planned(text, None, &all[1..]).unwrap_err(), @r#"compose.yml:1: services.a.cap_add: asks for the capability NET_ADMIN; the fleet's configuration can allow it: `test.compose.allow: ["capability:NET_ADMIN"]`"#);
}

/// The shapes that the documentation shows are run.
#[test]
fn the_documented_shapes() {
    let text = include_str!("../../../docs/testing.md");
    let blocks: Vec<&str> = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .collect();
    let shapes: Vec<&str> = blocks
        .into_iter()
        .filter(|block| block.contains("\nservices:") || block.starts_with("services:"))
        .collect();
    let table: Vec<String> = shapes
        .iter()
        .map(|shape| {
            let service = shape.contains("migrate").then_some("web");
            let stack = planned(shape, service, &[]).unwrap();
            let names = |services: &[Service]| services.iter().map(|it| it.name.clone()).collect::<Vec<_>>().join(", ");
            format!(
                "{} | {} | {}",
                names(&stack.before),
                stack.tested.name,
                names(&stack.after)
            )
        })
        .collect();
    insta::assert_snapshot!(table.join("\n"), @"
    db | web | 
    db | web | 
     | web | 
     | base | 
    db, data | web |
    ");
}
