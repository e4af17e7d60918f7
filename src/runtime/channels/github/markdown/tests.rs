use super::*;
use lowtide_core::channels::github::route::{Place, Post};
use lowtide_core::channels::list::Address;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::message::{Built, Keys, MessageBody};
use lowtide_model::run::{CommitState, Stage};
use lowtide_model::stages::resolve::Commit;
use proptest::prelude::*;

fn sender() -> Sender {
    Sender {
        instance: "harbour".to_owned(),
        timezone: "America/Moncton".to_owned(),
        public_url: None,
    }
}

fn notice(body: MessageBody) -> Notice {
    Notice {
        keys: Keys {
            dedup: "github/run-failed/web/1/web/test/test_failed/abc".to_owned(),
            thread: "github/run-failed/web".to_owned(),
        },
        address: Address::Github(Place {
            repo: "example/web".to_owned(),
            post: Post::Status {
                sha: "3f2a9c1".to_owned(),
                state: CommitState::Failure,
            },
        }),
        at: "2026-11-23T05:12:00Z".parse().unwrap(),
        body,
    }
}

fn failed(detail: &str, excerpt: &[&str]) -> Notice {
    notice(MessageBody::RunFailed {
        app: "web".parse().unwrap(),
        run: "01JDCS4Z00ABCDEFGHJKMNPQRS".parse().unwrap(),
        stage: Stage::Test,
        commit: Some(Box::new(Built {
            commit: Commit {
                id: "3f2a9c1d0e".repeat(4),
                subject: "Close #1 for @octocat".to_owned(),
                author: "Ana".to_owned(),
                time: "2026-11-23T01:00:00Z".parse().unwrap(),
            },
            link: Some("https://github.com/example/web/commit/3f2a9c1d0e".to_owned()),
        })),
        failure: Failure::new(FailureKind::TestFailed, detail).with_excerpt(excerpt.iter().copied()),
        first: "01JDCS4Z00ABCDEFGHJKMNPQRS".parse().unwrap(),
        since: "2026-11-23T05:12:00Z".parse().unwrap(),
        commit_to_blame: false,
    })
}

/// Makes invisible characters visible.
fn shown(text: &str) -> String {
    text.replace(BREAK, "¦")
}

#[test]
fn an_issue() {
    let issue = issue(
        &failed("1 of 2 tests failed", &["ok 2", "not ok 1 - says hello"]),
        "run-failed/web/01JDCS4Z00ABCDEFGHJKMNPQRS",
        &sender(),
    );
    insta::assert_snapshot!(issue.title, @"web: tests failed at 3f2a9c1 (1 failing)");
    insta::assert_snapshot!(shown(&issue.body), @r#"
    <!-- lowtide:run-failed/web/01JDCS4Z00ABCDEFGHJKMNPQRS -->
    <!-- lowtide:github/run-failed/web/1/web/test/test_failed/abc -->

    Nothing changed in production: what ran before still runs.

    ### What happened

    In the tests inside the new image: tests failed.

    - Commit: 3f2a9c1 Close \#¦1 for @¦octocat
    - Author: Ana

    - Page: <https://github.com/example/web/commit/3f2a9c1d0e>

    ### Why

    1 of 2 tests failed.

    ```text
    ok 2
    not ok 1 - says hello
    ```

    ### What to do next

    Correct the code or the named tests, and push; the next run picks it up.

    Everything recorded about this run:
    ```sh
    lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
    ```
    Once fixed, try now instead of tonight:
    ```sh
    lowtide run web
    ```

    ### Who needs to act

    The app's maintainers: the cause is in the repository.

    <sub>You get one mail per problem; the daily report lists it until it is resolved, and the last message of this thread says when that is. Sent by lowtide harbour, 2026-11-23 01:12 America/Moncton.</sub>
    "#);
}

#[test]
fn hostile_text_calls_nobody_and_formats_nothing() {
    let notice = failed(
        "@octocat broke <img src=x> [link](https://example.org) #1 GH-2 `code` **bold** example/web#3 www.example.org",
        &[
            "@octocat fixes #1",
            "````",
            "<!-- lowtide:run-failed/web/1 -->",
            "</details>",
        ],
    );
    insta::assert_snapshot!(shown(&comment(&notice, &sender())), @r#"
    <!-- lowtide:github/run-failed/web/1/web/test/test_failed/abc -->

    **web: tests failed at 3f2a9c1**

    Nothing changed in production: what ran before still runs.

    ### What happened

    In the tests inside the new image: tests failed.

    - Commit: 3f2a9c1 Close \#¦1 for @¦octocat
    - Author: Ana

    - Page: <https://github.com/example/web/commit/3f2a9c1d0e>

    ### Why

    Tests failed: @¦octocat broke &lt;img src=x&gt; \[link\](https:¦//example.org) \#¦1 GH-¦2 \`code\` \*\*bold\*\* example/web\#¦3 www.¦example.org.

    `````text
    @octocat fixes #1
    ````
    <!-- lowtide:run-failed/web/1 -->
    </details>
    `````

    ### What to do next

    Correct the code or the named tests, and push; the next run picks it up.

    Everything recorded about this run:
    ```sh
    lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
    ```
    Once fixed, try now instead of tonight:
    ```sh
    lowtide run web
    ```

    ### Who needs to act

    The app's maintainers: the cause is in the repository.

    <sub>You get one mail per problem; the daily report lists it until it is resolved, and the last message of this thread says when that is. Sent by lowtide harbour, 2026-11-23 01:12 America/Moncton.</sub>
    "#);
    let title = issue(&failed("@octocat", &[]), "x", &sender()).title;
    assert!(!title.contains("@o"));
}

#[test]
fn the_end_of_an_incident() {
    let recovered = notice(MessageBody::RunRecovered {
        app: "web".parse().unwrap(),
        run: "01JDCS4Z00ABCDEFGHJKMNPQRS".parse().unwrap(),
    });
    insta::assert_snapshot!(shown(&comment(&recovered, &sender())), @r"
    <!-- lowtide:github/run-failed/web/1/web/test/test_failed/abc -->

    **web: runs succeed again**

    All stages passed again. Nothing to do.

    ### If you want to know more

    What this run did:
    ```sh
    lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
    ```

    <sub>This closes the thread. Sent by lowtide harbour, 2026-11-23 01:12 America/Moncton.</sub>
    ");
}

#[test]
fn statuses() {
    let passed = |tag: Option<&str>, observed| {
        status(&notice(MessageBody::RunPassed {
            app: "web".parse().unwrap(),
            run: "01JDCS4Z00ABCDEFGHJKMNPQRS".parse().unwrap(),
            commit: "3f2a9c1d0e".repeat(4),
            tag: tag.map(ToOwned::to_owned),
            observed,
        }))
    };
    let lines = [
        passed(Some("20261123.1"), false),
        passed(Some("20261123.1"), true),
        passed(None, false),
        status(&failed("1 of 2 tests failed", &[])),
        status(&failed(&"long ".repeat(100), &[])),
    ];
    assert!(lines.iter().all(|line| line.chars().count() <= DESCRIPTION));
    insta::assert_snapshot!(lines.join("\n"), @r"
    Built, tested and released as 20261123.1.
    Built and tested; would be released as 20261123.1 (observe mode).
    A rebuild changes nothing in the released image.
    1 of 2 tests failed.
    Tests failed: long long long long long long long long long long long long long long long long long long long long long long long long long …
    ");
}

#[test]
fn the_start_of_a_line_begins_no_list() {
    for (text, found) in [
        ("1. one", "1\\. one"),
        ("12) x", "12\\) x"),
        ("- x", "\\- x"),
        ("3 of 4", "3 of 4"),
    ] {
        assert_eq!(escaped(text), found);
    }
}

proptest! {
    #[test]
    fn no_text_is_a_mention_a_reference_or_markup(text in "[-@#a-z0-9 `<>&*_!:/.\\[\\]()~|\\\\$]{0,60}") {
        let escaped = escaped(&text);
        let mut before = ' ';
        let mut chars = escaped.chars().peekable();
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            prop_assert!(!matches!(c, '<' | '>'), "{escaped}");
            if matches!(c, '@' | '#') {
                prop_assert_eq!(next, Some('\u{200b}'), "{}", &escaped);
            }
            if matches!(c, '`' | '*' | '_' | '[' | ']') {
                prop_assert_eq!(before, '\\', "{}", &escaped);
            }
            before = if before == '\\' && c == '\\' { ' ' } else { c };
        }
        prop_assert!(!escaped.contains("://"));
    }

    #[test]
    fn no_line_closes_its_fence(lines in proptest::collection::vec("[`~ a@]{0,12}", 0..6)) {
        let mut out = String::new();
        fenced(&mut out, "text", &lines);
        let fence = out.lines().last().unwrap().to_owned();
        let closing = |line: &&str| {
            let line = line.trim();
            line.len() >= fence.len() && line.chars().all(|c| c == '`')
        };
        prop_assert_eq!(out.lines().skip(1).filter(closing).count(), 1);
    }
}
