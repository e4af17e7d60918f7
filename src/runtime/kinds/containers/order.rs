//! In which order a compose project's services are replaced. Pure.

use super::compose::DEPENDS_ON;
use super::find::{COMPOSE_SERVICE, label};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Services of these containers, what others depend on first. Among those that may go first, `wanted` decides, then the name.
/// In a cycle the one that `wanted` names first goes last.
pub(super) fn services(containers: &[Value], wanted: &[String]) -> Vec<String> {
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in containers {
        let entries = label(container, DEPENDS_ON).split(',');
        let needed = entries.filter_map(|entry| entry.split(':').next());
        needs
            .entry(label(container, COMPOSE_SERVICE))
            .or_default()
            .extend(needed);
    }
    let mut ordered = Vec::new();
    let mut seen = BTreeSet::new();
    let first = in_turn(needs.keys().copied(), wanted);
    for service in first {
        visit(service, &needs, wanted, &mut seen, &mut ordered);
    }
    ordered
}

fn visit<'a>(
    service: &'a str,
    needs: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    wanted: &[String],
    seen: &mut BTreeSet<&'a str>,
    ordered: &mut Vec<String>,
) {
    let Some(needed) = needs.get(service) else { return };
    if !seen.insert(service) {
        return;
    }
    for other in in_turn(needed.iter().copied(), wanted) {
        visit(other, needs, wanted, seen, ordered);
    }
    ordered.push(service.to_owned());
}

fn in_turn<'a>(services: impl Iterator<Item = &'a str>, wanted: &[String]) -> Vec<&'a str> {
    let mut services: Vec<&str> = services.collect();
    let place = |service: &str| wanted.iter().position(|w| w == service).unwrap_or(usize::MAX);
    services.sort_by_key(|service| (place(service), *service));
    services
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn dependencies_go_first_and_the_configured_order_breaks_ties() {
        for (services_with_needs, wanted, order) in [
            (vec![("web", ""), ("cron", "")], vec![], vec!["cron", "web"]),
            (
                vec![("web", ""), ("cron", "")],
                vec!["web", "cron"],
                vec!["web", "cron"],
            ),
            (
                vec![("web", "db:service_healthy:false"), ("db", "")],
                vec!["web", "db"],
                vec!["db", "web"],
            ),
            (
                vec![
                    ("web", "db:service_healthy:false,redis:service_started:true"),
                    ("db", ""),
                    ("redis", ""),
                ],
                vec!["web", "redis"],
                vec!["redis", "db", "web"],
            ),
            // Through one that is not to be replaced.
            (
                vec![
                    ("a", "m:service_started:false"),
                    ("m", "z:service_started:false"),
                    ("z", ""),
                ],
                vec!["a", "z"],
                vec!["z", "m", "a"],
            ),
            (
                vec![("a", "b:service_started:false"), ("b", "a:service_started:false")],
                vec![],
                vec!["b", "a"],
            ),
            (vec![("a", "a:x:y"), ("b", "gone:x:y")], vec![], vec!["a", "b"]),
            // Replicas of one service may know of different ones.
            (vec![("a", ""), ("a", "b:x:y"), ("b", "")], vec![], vec!["b", "a"]),
            (vec![("b", "a"), ("a", "")], vec![], vec!["a", "b"]),
        ] {
            let container = |(service, needs): &(&str, &str)| json!({"Config": {"Labels": {COMPOSE_SERVICE: service, DEPENDS_ON: needs}}});
            let containers: Vec<Value> = services_with_needs.iter().map(container).collect();
            let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
            assert_eq!(services(&containers, &wanted), order, "{services_with_needs:?}");
        }
    }
}
