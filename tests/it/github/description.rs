//! The check of requests against the description can fail.

use crate::support::github::description::{ApiRequest, description};
use serde_json::{Value, json};

#[test]
fn the_check_finds_what_is_wrong() {
    let problems_of = |method, path, query: &[(&str, &str)], body: Option<Value>| {
        let query: Vec<_> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        description().problems(&ApiRequest {
            method,
            path,
            query: &query,
            body: body.as_ref(),
        })
    };
    let status = "/repos/example/web/statuses/3f2a9c1";
    let found = [
        problems_of("POST", status, &[], Some(json!({ "state": "success" }))),
        problems_of("POST", status, &[], Some(json!({ "state": "great" }))),
        problems_of("POST", status, &[], Some(json!({ "stat": "success" }))),
        problems_of("POST", status, &[], None),
        problems_of("GET", "/repos/example/web/issue", &[], None),
        problems_of(
            "GET",
            "/repos/example/web/issues",
            &[("state", "any"), ("lables", "x"), ("page", "one")],
            None,
        ),
        problems_of("GET", "/repos/example/web/issues", &[("since", "yesterday")], None),
        problems_of(
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
