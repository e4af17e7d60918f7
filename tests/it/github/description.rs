//! The check of requests against the description can fail.

use crate::support::github::description::{Asked, description};
use serde_json::{Value, json};

#[test]
fn the_check_finds_what_is_wrong() {
    let asked = |method, path, query: &[(&str, &str)], body: Option<Value>| {
        let query: Vec<_> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        description().problems(&Asked {
            method,
            path,
            query: &query,
            body: body.as_ref(),
        })
    };
    let status = "/repos/example/web/statuses/3f2a9c1";
    let found = [
        asked("POST", status, &[], Some(json!({ "state": "success" }))),
        asked("POST", status, &[], Some(json!({ "state": "great" }))),
        asked("POST", status, &[], Some(json!({ "stat": "success" }))),
        asked("POST", status, &[], None),
        asked("GET", "/repos/example/web/issue", &[], None),
        asked(
            "GET",
            "/repos/example/web/issues",
            &[("state", "any"), ("lables", "x"), ("page", "one")],
            None,
        ),
        asked("GET", "/repos/example/web/issues", &[("since", "yesterday")], None),
        asked(
            "PATCH",
            "/repos/example/web/issues/one",
            &[],
            Some(json!({ "title": true })),
        ),
    ];
    insta::assert_snapshot!(found.map(|f| f.join(" | ")).join("\n"), @r#"
    body.state: "great" is none of ["error","failure","pending","success"]
    body.state: missing | body.stat: no such field
    no body
    no such operation: GET /repos/example/web/issue
    state: "any" is none of ["open","closed","all"] | page: "one" is no "integer" | lables: no such parameter
    since: "yesterday" is no date-time
    issue_number: "one" is no "integer" | body.title: fits oneOf not
    "#);
}
