use super::*;
use serde_json::json;

fn ready(check: ReadyCheck) -> Ready {
    Ready {
        check,
        timeout: SignedDuration::from_secs(60),
    }
}

#[test]
fn how_long_a_task_may_take_comes_from_its_health_check() {
    let steady = ready(ReadyCheck::Steady {
        stay_up: SignedDuration::from_secs(7),
    });
    let http = ready(ReadyCheck::Http {
        port: 80,
        path: "/".to_owned(),
    });
    let s = 1_000_000_000_i64;
    let image = |check: Value| json!({"Healthcheck": check});
    let own = |check: Value| json!({"TaskTemplate": {"ContainerSpec": {"Healthcheck": check}}});
    let test = json!(["CMD", "true"]);
    for (what, spec, image, rule, seconds) in [
        ("no health check", json!({}), Some(json!({})), &steady, 7),
        ("a rule nobody can ask", json!({}), Some(json!({})), &http, 10),
        (
            "docker's defaults",
            json!({}),
            Some(image(json!({"Test": test}))),
            &steady,
            120,
        ),
        (
            "the image's",
            json!({}),
            Some(image(
                json!({"Test": test, "Interval": 5 * s, "Retries": 2, "StartPeriod": 30 * s}),
            )),
            &steady,
            45,
        ),
        (
            "the service's over the image's, one by one",
            own(json!({"Interval": 2 * s})),
            Some(image(
                json!({"Test": test, "Interval": 5 * s, "Retries": 2, "StartPeriod": 30 * s}),
            )),
            &steady,
            36,
        ),
        (
            "switched off by the service",
            own(json!({"Test": ["NONE"]})),
            Some(image(json!({"Test": test}))),
            &steady,
            7,
        ),
        ("an image that is not on this node", json!({}), None, &steady, 120),
    ] {
        let found = proves(&spec, image.as_ref(), rule);
        assert_eq!(found, SignedDuration::from_secs(seconds), "{what}");
    }
}

#[test]
fn a_node_that_came_as_far_as_a_container_has_the_image() {
    let row = |node: &str, state: &str, container: &str| {
        json!({
            "ID": "t", "NodeID": node, "UpdatedAt": "2026-01-01T00:00:00Z", "DesiredState": "shutdown",
            "Spec": {"ContainerSpec": {"Image": "i"}},
            "Status": {
                "Timestamp": "2026-01-01T00:00:00Z", "State": state, "Err": "No such image",
                "ContainerStatus": {"ContainerID": container},
            },
        })
    };
    let up = BTreeSet::from(["n1".to_owned(), "n2".to_owned()]);
    let pulled = |rows: &[Value]| verdict(rows, &up).unwrap();
    assert_eq!(pulled(&[]), Pulled::Nowhere);
    assert_eq!(pulled(&[row("n1", "failed", "c")]), Pulled::Everywhere);
    assert_eq!(
        pulled(&[row("n1", "failed", "c"), row("n2", "preparing", "")]),
        Pulled::NotYet
    );
    assert_eq!(
        pulled(&[row("n2", "preparing", ""), row("n1", "failed", "c")]),
        Pulled::NotYet
    );
    let refused = Pulled::Failed("node n1: No such image".to_owned());
    assert_eq!(pulled(&[row("n1", "rejected", "")]), refused);
    // A node that is down is not waited for.
    assert_eq!(
        pulled(&[row("n1", "failed", "c"), row("n3", "assigned", "")]),
        Pulled::Everywhere
    );
}
