//! Looks at the containers whenever the engine tells something of them: at every moment the old or the new one can serve,
//! and never do two of them run.

use crate::world::{Ground, LABEL, Old, UNIT, list};
use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_util::task::AbortOnDropHandle;

pub(crate) struct Watch {
    seen: Arc<Mutex<Seen>>,
    /// Killed with it.
    _events: Child,
    _looks: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Seen {
    wrong: BTreeSet<String>,
    looks: usize,
}

impl Watch {
    pub(crate) fn start(ground: &Ground, id: &str, olds: &[Old]) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let units: Vec<(&'static str, String, String)> = olds
            .iter()
            .map(|old| (old.unit, old.name.clone(), old.id.clone()))
            .collect();
        let (noting, label, engine) = (Arc::clone(&seen), format!("{LABEL}={id}"), ground.engine.clone());
        // Beginning with what was told before: the containers were started then.
        let mut events = Command::new("docker")
            .args(["events", "--since", "10m", "--filter", &format!("label={label}")])
            .env("DOCKER_HOST", format!("unix://{}", ground.socket.display()))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(events.stdout.take().unwrap()).lines();
        let looks = tokio::spawn(async move {
            while let Ok(Some(_)) = lines.next_line().await {
                let containers = list(&engine, "/containers/json?all=1", &label).await;
                for (unit, name, old) in &units {
                    let of_unit: Vec<_> = containers.iter().filter(|c| c["Labels"][UNIT] == *unit).collect();
                    let running = of_unit.iter().filter(|c| c["State"] == "running").count();
                    let old_there = of_unit.iter().any(|c| c["Id"] == **old);
                    let new_serves = of_unit.iter().any(|c| {
                        c["State"] == "running"
                            && c["Names"]
                                .as_array()
                                .is_some_and(|n| n.iter().any(|n| *n == format!("/{name}")))
                    });
                    let mut seen = noting.lock().unwrap();
                    // A list that failed is empty; one that was made between two steps may lack either.
                    if !containers.is_empty() && !old_there && !new_serves {
                        seen.wrong
                            .insert(format!("{name}: neither the old nor the new container could serve"));
                    }
                    if running > 1 {
                        seen.wrong.insert(format!("{name}: {running} containers ran at once"));
                    }
                    seen.looks += 1;
                }
            }
        });
        Self {
            seen,
            _events: events,
            _looks: AbortOnDropHandle::new(looks),
        }
    }

    pub(crate) fn wrong(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let mut wrong: Vec<String> = seen.wrong.iter().cloned().collect();
        if seen.looks == 0 {
            wrong.push("nobody looked".to_owned());
        }
        wrong
    }
}
