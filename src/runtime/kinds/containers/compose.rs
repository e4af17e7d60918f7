//! What of a compose project cannot be replaced, and what compose does afterwards that a person should know. Pure.

use super::body::LABEL_TAG;
use super::find::{COMPOSE_PROJECT, COMPOSE_SERVICE, label};
use super::json::{name, number, object, text};
use super::observe::{restart, state};
use lowtide_model::container::ContainerState;
use serde_json::Value;

/// `db:service_healthy:false,migrate:service_completed_successfully:true` (docker/compose `pkg/api/labels.go`).
pub(super) const DEPENDS_ON: &str = "com.docker.compose.depends_on";

const ONE_SHOT: &str = "service_completed_successfully";

/// The reason against replacing a one-shot container such as a migration: its replacement would not be run, and the
/// services that depend on it would start without it. One line; `None`: the container is a service. `all`: every
/// container of the host, itself included.
pub(super) fn one_shot(container: &Value, all: &[&Value]) -> Option<String> {
    let (service, shown) = (label(container, COMPOSE_SERVICE), name(container));
    if service.is_empty() {
        return None;
    }
    let project = label(container, COMPOSE_PROJECT);
    let waits = all.iter().find(|other| {
        let entries = label(other, DEPENDS_ON).split(',');
        let mut parts = entries.map(|entry| entry.split(':'));
        label(other, COMPOSE_PROJECT) == project
            && parts.any(|mut entry| entry.next() == Some(service) && entry.next() == Some(ONE_SHOT))
    });
    if let Some(waits) = waits {
        return Some(format!(
            "{shown}: Config.Labels.{DEPENDS_ON} of {} ({service} runs once, and {} waits until it has ended: leave {service} \
             out of the target, and let compose run it)",
            name(waits),
            label(waits, COMPOSE_SERVICE)
        ));
    }
    let done = state(container) == ContainerState::Exited
        && number(container, "/State/ExitCode") == 0
        && restart(container).name == "no"
        && !text(container, "/State/StartedAt").is_empty();
    done.then(|| {
        format!(
            "{shown}: State.Status ({service} has run and ended well, and is not restarted: leave {service} out of the target, \
             and let compose run it; if it is a service, start it)"
        )
    })
}

/// What the first `docker compose up -d` after the rollout does to this container; `None`: nothing.
pub(super) fn up_afterwards(container: &Value, parts: &[&Value]) -> Option<String> {
    let (service, shown) = (label(container, COMPOSE_SERVICE), name(container));
    let composes = object(container, "/Config/Labels").is_some_and(|l| l.contains_key("com.docker.compose.image"));
    if service.is_empty() || !composes {
        return None;
    }
    let recorded = label(container, LABEL_TAG);
    let reference = if recorded.is_empty() {
        text(container, "/Config/Image")
    } else {
        recorded
    };
    if reference.contains('@') || reference.starts_with("sha256:") {
        return Some(format!(
            "{shown}: its compose file pins the image by digest ({reference}): `docker compose up -d` puts the old image back; \
             pin it by a tag, or write the new digest after each rollout"
        ));
    }
    let mode = text(container, "/HostConfig/NetworkMode").strip_prefix("container:")?;
    let held = parts
        .iter()
        .find(|part| text(part, "/Id") == mode || name(part) == mode)?;
    let held = label(held, COMPOSE_SERVICE);
    (!held.is_empty()).then(|| {
        format!(
            "{shown}: it lives in the network of {held} (`network_mode: service:{held}`): the first `docker compose up -d` \
             after the rollout makes it anew once, since compose compares the id of the container it lives in"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(service: &str, needs: &str, state: Value) -> Value {
        json!({
            "Name": format!("/shop-{service}-1"),
            "State": state,
            "HostConfig": {"RestartPolicy": {"Name": "no"}},
            "Config": {"Labels": {COMPOSE_PROJECT: "shop", COMPOSE_SERVICE: service, DEPENDS_ON: needs}},
        })
    }

    fn running() -> Value {
        json!({"Status": "running", "StartedAt": "2026-01-02T03:04:05Z"})
    }

    fn ended(code: i64) -> Value {
        json!({"Status": "exited", "ExitCode": code, "StartedAt": "2026-01-02T03:04:05Z"})
    }

    #[test]
    fn what_runs_once_is_no_service() {
        let web = |needs: &str| container("web", needs, running());
        let once = "db:service_healthy:true,migrate:service_completed_successfully:false";
        let mut elsewhere = web(once);
        elsewhere["Config"]["Labels"][COMPOSE_PROJECT] = json!("other");
        let mut restarted = container("migrate", "", ended(0));
        restarted["HostConfig"]["RestartPolicy"]["Name"] = json!("always");
        let mut plain = container("migrate", "", ended(0));
        plain["Config"]["Labels"] = json!({});
        for (one, other, refused) in [
            (container("migrate", "", ended(0)), web(once), true),
            (container("migrate", "", ended(1)), web(once), true),
            (container("migrate", "", running()), web(once), true),
            (container("db", "", running()), web(once), false),
            (container("migrate", "", running()), elsewhere, false),
            (container("seed", "", ended(0)), web(""), true),
            (container("seed", "", ended(1)), web(""), false),
            (
                container("seed", "", json!({"Status": "created", "ExitCode": 0})),
                web(""),
                false,
            ),
            (restarted, web(""), false),
            (plain, web(once), false),
            // `x` is not `migrate-x`.
            (
                container("x", "", running()),
                web("migrate-x:service_completed_successfully:false"),
                false,
            ),
        ] {
            let found = one_shot(&one, &[&one, &other]);
            assert_eq!(found.is_some(), refused, "{one} {other}: {found:?}");
        }
        let (migrate, web) = (container("migrate", "", ended(0)), web(once));
        insta::assert_snapshot!(one_shot(&migrate, &[&web]).unwrap(), @"shop-migrate-1: Config.Labels.com.docker.compose.depends_on of shop-web-1 (migrate runs once, and web waits until it has ended: leave migrate out of the target, and let compose run it)");
        insta::assert_snapshot!(one_shot(&migrate, &[]).unwrap(), @"shop-migrate-1: State.Status (migrate has run and ended well, and is not restarted: leave migrate out of the target, and let compose run it; if it is a service, start it)");
    }

    #[test]
    fn what_compose_does_afterwards_is_reported() {
        let composed = |image: &str, mode: &str, tag: &str| {
            json!({
                "Id": format!("id-{image}"),
                "Name": "/shop-web-1",
                "HostConfig": {"NetworkMode": mode},
                "Config": {"Image": image, "Labels": {
                    COMPOSE_PROJECT: "shop", COMPOSE_SERVICE: "web", "com.docker.compose.image": "sha256:1", LABEL_TAG: tag,
                }},
            })
        };
        let vpn = json!({"Id": "vpn", "Name": "/shop-vpn-1", "Config": {"Labels": {COMPOSE_SERVICE: "vpn"}}});
        let warning = |container: &Value| up_afterwards(container, &[&vpn]);
        insta::assert_snapshot!(warning(&composed("app@sha256:00", "front", "")).unwrap(), @"shop-web-1: its compose file pins the image by digest (app@sha256:00): `docker compose up -d` puts the old image back; pin it by a tag, or write the new digest after each rollout");
        insta::assert_snapshot!(warning(&composed("app:1", "container:vpn", "")).unwrap(), @"shop-web-1: it lives in the network of vpn (`network_mode: service:vpn`): the first `docker compose up -d` after the rollout makes it anew once, since compose compares the id of the container it lives in");
        // What an earlier rollout made has the release's digest; its service has a tag.
        assert_eq!(warning(&composed("app:20260101-1@sha256:00", "front", "app:1")), None);
        assert_eq!(warning(&composed("app:1", "front", "")), None);
        assert_eq!(warning(&composed("app:1", "container:elsewhere", "")), None);
    }
}
