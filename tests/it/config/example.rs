//! `config.example.yml` is tested configuration: complete, valid, and true about defaults.

use lowtide::config::validate;
use lowtide::fleet::app::Fleet;
use lowtide::yaml::diagnostic::Problem;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

const EXAMPLE: &str = include_str!("../../../config.example.yml");

fn is_default(line: &str) -> bool {
    line.split_once(" # default")
        .is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with('.'))
}

/// What is in force. A repository's file is laid over what is written, and there a default that is written out is not one that is left out.
fn in_force(text: &str) -> Result<Fleet, Vec<Problem>> {
    let mut fleet = validate::fleet(text.as_bytes())?;
    for app in fleet.apps.values_mut() {
        if let Some(file) = &mut Arc::make_mut(app).repository_file {
            file.below = Value::Null;
        }
    }
    Ok(fleet)
}

#[test]
fn every_shown_default_is_the_one_in_force_without_it() {
    let full = in_force(EXAMPLE).unwrap();
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let shown: Vec<usize> = (0..lines.len()).filter(|n| is_default(lines[*n])).collect();
    assert!(shown.len() >= 35, "only {} lines show a default", shown.len());
    for n in shown {
        let without: Vec<&str> = lines
            .iter()
            .enumerate()
            .filter(|(m, _)| *m != n)
            .map(|(_, line)| *line)
            .collect();
        let fleet = in_force(&without.join("\n"));
        assert_eq!(fleet.as_ref(), Ok(&full), "line {}: {}", n + 1, lines[n]);
    }
}

#[test]
fn all_shown_defaults_together_are_those_in_force() {
    let without: Vec<&str> = EXAMPLE.lines().filter(|line| !is_default(line)).collect();
    assert_eq!(in_force(&without.join("\n")), in_force(EXAMPLE));
}

/// Every (struct, key) of the schema that the example uses.
fn used(value: &Value, schema: &Value, root: &Value, out: &mut BTreeSet<String>) {
    let mut schema = schema;
    let mut name = "File";
    for _ in 0..4 {
        if let Some(target) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
            (schema, name) = (&root["$defs"][target], target);
        } else if let Some(some) = schema["anyOf"]
            .as_array()
            .and_then(|all| all.iter().find(|s| s["type"] != "null"))
        {
            schema = some;
        }
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if let Some(inner) = schema["properties"].get(key) {
                    out.insert(format!("{name}.{key}"));
                    used(value, inner, root, out);
                } else {
                    used(value, &schema["additionalProperties"], root, out);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| used(item, &schema["items"], root, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_key_of_the_format_is_shown() {
    let schema = lowtide::config::raw::schema();
    // A copy of the example is valid without a file beside it, so this form stands in a comment.
    let (file, age) = ("{ file: /run/secrets/smtp }", "{ age: secrets/smtp.age }");
    assert!(EXAMPLE.contains(&format!("password: {file}   # or {age}")));
    let (token, app) = (
        "token: { env: GITHUB_TOKEN }",
        "app: { id: 123456, key: { file: /run/secrets/github.pem } }",
    );
    assert!(EXAMPLE.contains(&format!("{token}            # or {app}")));
    let both = format!("{token}\n    {app}");
    let example: Value = serde_yaml::from_str(&EXAMPLE.replace(file, age).replace(token, &both)).unwrap();
    let mut shown = BTreeSet::new();
    used(&example, &schema, &schema, &mut shown);
    // What an app, a profile and the defaults share is shown once, wherever that is.
    let settings = ["App", "Profile", "Defaults"];
    let has = |name: &str, key: &str| {
        shown.contains(&format!("{name}.{key}"))
            || (settings.contains(&name) && settings.iter().any(|s| shown.contains(&format!("{s}.{key}"))))
    };
    let mut missing = Vec::new();
    let defs = schema["$defs"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, def)| (name.as_str(), def));
    for (name, def) in defs.chain([("File", &schema)]) {
        for (key, _) in def["properties"].as_object().into_iter().flatten() {
            if !has(name, key) {
                missing.push(format!("{name}.{key}"));
            }
        }
    }
    assert!(missing.is_empty(), "config.example.yml does not show {missing:?}");
}

#[test]
fn five_lines_are_enough_for_an_app() {
    let text = "version: 1\napps:\n  web:\n    source: { repo: \"https://git.example.org/web.git\" }\n    rollout: [ { container: { name: web } } ]\n";
    assert_eq!(text.lines().count(), 5);
    let fleet = validate::fleet(text.as_bytes()).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&fleet).unwrap(), @r#"
    {
      "timezone": "UTC",
      "hosts": {
        "local": {
          "address": {
            "unix": "/var/run/docker.sock"
          }
        }
      },
      "registries": {},
      "archives": {
        "proxy": null,
        "mirrors": {}
      },
      "channels": {
        "email": null,
        "github": null,
        "webhook": null
      },
      "limits": {
        "runs": 2,
        "rollouts": 4,
        "rollouts_per_host": 1,
        "min_free_disk": 2147483648
      },
      "retention": {
        "history": "PT2160H",
        "audit": "PT17520H",
        "images": 3,
        "logs": 1073741824,
        "build_cache": 10737418240,
        "registry": {
          "keep": 30,
          "age": null,
          "delete": false
        }
      },
      "web": {
        "names": [],
        "public_url": null,
        "hooks": {
          "github": null,
          "signed": null
        }
      },
      "apps": {
        "web": {
          "name": "web",
          "mode": "observe",
          "timezone": "UTC",
          "maintainers": [],
          "origin": {
            "kind": "built",
            "source": {
              "repo": "https://git.example.org/web.git",
              "git_ref": "head",
              "context": "",
              "dockerfile": "Dockerfile",
              "submodules": false,
              "username": null,
              "token": null,
              "ssh_key": null,
              "timeout": "PT5M",
              "max_size": 2147483648
            },
            "build": {
              "host": "local",
              "args": {},
              "target": null,
              "labels": {},
              "label_schema": false,
              "pull": true,
              "timeout": "PT30M",
              "limits": {
                "memory": null,
                "cpus": null
              },
              "max_log": 16777216,
              "upgrade": false,
              "max_age": "PT168H"
            }
          },
          "env": {},
          "tests": [],
          "ready": {
            "check": {
              "steady": {
                "stay_up": "PT10S"
              }
            },
            "timeout": "PT2M"
          },
          "publish": null,
          "schedule": {
            "between": {
              "from": "22:00:00",
              "to": "02:30:00"
            }
          },
          "rollout": [
            {
              "name": "container-web",
              "channel": null,
              "host": "local",
              "window": null,
              "ready": {
                "check": {
                  "steady": {
                    "stay_up": "PT10S"
                  }
                },
                "timeout": "PT2M"
              },
              "bake": "PT2M",
              "irreversible": false,
              "unhealthy": "refuse",
              "kind": {
                "containers": {
                  "select": {
                    "name": {
                      "name": "web"
                    }
                  },
                  "before": [],
                  "after": [],
                  "stop_timeout": null,
                  "order": "auto",
                  "preflight": "full"
                }
              }
            }
          ],
          "github_repo": null,
          "halt": {
            "require": "reason",
            "probation": 3,
            "tests": [
              "**/*test*",
              "**/tests/**",
              "**/test/**"
            ]
          }
        }
      }
    }
    "#);
}
