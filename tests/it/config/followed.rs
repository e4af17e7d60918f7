//! Images that others build: what is in force, by layer.

use lowtide::config::validate::{self, fleet_with_provenance};
use lowtide::model::policy::ImageOrigin;
use lowtide::yaml::age::Beside;

const TEXT: &str = r#"
version: 1
hosts: { one: { docker: unix:///run/one.sock }, two: { docker: unix:///run/two.sock } }
defaults:
  source: { timeout: 1m, min_age: 3d, host: two }
  build: { args: { A: "1" } }
  repository_file: { allow: [test] }
  publish: { tag: "{date}.{run}" }
profiles:
  postgres:
    source: { image: postgres, tags: "16.*" }
    publish: { image: registry.example.org/postgres }
    test:
      sidecars: { proxy: { image: "haproxy:3" } }
      steps: [ { exec: [pg_isready] }, { copy: { from: /var/log/a.log, to: a.log } } ]
apps:
  cache:
    source: { image: ghcr.io/example/valkey, tags: latest, min_age: 0s, host: one }
    publish: { image: registry.example.org/valkey, tag: "{tag}-{digest}" }
  db:
    profile: postgres
  newest:
    profile: postgres
    source: { tags: ">=17 *-alpine", min_age: 1d }
  ours:
    profile: postgres
    source: { repo: "https://git.example.org/ours.git" }
"#;

#[test]
fn a_source_is_merged_key_by_key_and_one_kind_hides_the_other() {
    let fleet = validate::fleet(TEXT.as_bytes()).unwrap();
    let lines = fleet.apps.values().map(|app| {
        let name = &app.name;
        let template = app.publish.as_ref().map_or("", |publish| publish.tag.as_str());
        match &app.origin {
            ImageOrigin::Followed(policy) => format!(
                "{name}: {} {} after {:#} on {}, as {template}",
                policy.image, policy.tags, policy.min_age, policy.host
            ),
            ImageOrigin::Built { source, build } => {
                format!("{name}: {} on {}, as {template}", source.repo, build.host)
            }
        }
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    cache: ghcr.io/example/valkey latest after 0s on one, as {tag}-{digest}
    db: docker.io/library/postgres 16.* after 72h on two, as {date}.{run}
    newest: docker.io/library/postgres >=17 *-alpine after 24h on two, as {date}.{run}
    ours: https://git.example.org/ours.git on one, as {date}.{run}
    ");
    let files = fleet.apps.values().filter(|app| app.repository_file.is_some());
    let files: Vec<&str> = files.map(|app| app.name.as_str()).collect();
    assert_eq!(files, ["ours"], "a followed image has no repository with a file in it");
}

#[test]
fn each_setting_of_a_followed_image_says_where_it_came_from() {
    let (_, provenance) = fleet_with_provenance(TEXT.as_bytes(), &Beside::new(), &|_| true).unwrap();
    let newest = provenance.iter().find(|(name, _)| name.as_str() == "newest").unwrap();
    let lines = newest.1.iter().filter(|s| {
        let is = |section: &str| s.key.starts_with(section);
        is("source") || is("build") || is("publish") || is("repository_file")
    });
    let lines = lines.map(|s| format!("{} = {} ({})", s.key, s.value, s.origin));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    source.image = postgres (profile postgres)
    source.tags = >=17 *-alpine (app)
    source.min_age = 1d (app)
    source.host = two (defaults)
    publish.image = registry.example.org/postgres (profile postgres)
    publish.tag = {date}.{run} (defaults)
    publish.channels = stable (default)
    ");
}

#[test]
fn two_keys_are_enough_for_an_image_of_others() {
    let text = "version: 1\napps: { db: { source: { image: postgres, tags: \"16.*\" } } }\n";
    let fleet = validate::fleet(text.as_bytes()).unwrap();
    let app = fleet.apps.values().next().unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&app.origin).unwrap(), @r#"
    {
      "kind": "followed",
      "image": "docker.io/library/postgres",
      "tags": "16.*",
      "min_age": "PT0S",
      "host": "local"
    }
    "#);
    assert!(app.publish.is_none() && app.repository_file.is_none() && app.github_repo.is_none());
    assert_eq!(app.host().as_str(), "local");
}

/// YAML takes none of them for a number or a list.
#[test]
fn rules_are_read_as_they_are_written() {
    for (written, read) in [
        ("16", "16"),
        ("16.10", "16.10"),
        ("2024-01-01", "2024-01-01"),
        ("latest", "latest"),
        ("16.*", "16.*"),
        ("^16.2", "^16.2"),
        ("~16.2", "~16.2"),
        ("\">=16.2, <17\"", ">=16.2, <17"),
        ("'/^RELEASE\\.(.+)Z$/'", "/^RELEASE\\.(.+)Z$/"),
    ] {
        let text =
            format!("version: 1\napps: {{ db: {{ source:\n  {{ image: postgres,\n    tags: {written} }} }} }}\n");
        let fleet = validate::fleet(text.as_bytes()).unwrap();
        let app = fleet.apps.values().next().unwrap();
        let ImageOrigin::Followed(policy) = &app.origin else {
            panic!("{written}: {:?}", app.origin);
        };
        assert_eq!(policy.tags, read);
    }
}
