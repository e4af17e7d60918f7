//! Looks at the containers all the time a trial goes on: at every moment the old or the new one can serve, and never do
//! two of them run.

use crate::bot::pause;
use crate::world::{LABEL, Old, UNIT, list};
use lowtide::clients::engine::connect::Engine;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tokio_util::task::AbortOnDropHandle;

pub(crate) struct Watch {
    seen: Arc<Mutex<Seen>>,
    _looks: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Seen {
    wrong: BTreeSet<String>,
    looks: usize,
}

impl Watch {
    pub(crate) fn start(engine: Engine, id: &str, olds: &[Old]) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let units: Vec<(&'static str, String, String)> = olds
            .iter()
            .map(|old| (old.unit, old.name.clone(), old.id.clone()))
            .collect();
        let (noting, label) = (Arc::clone(&seen), format!("{LABEL}={id}"));
        let looks = tokio::spawn(async move {
            loop {
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
                pause().await;
            }
        });
        Self {
            seen,
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
