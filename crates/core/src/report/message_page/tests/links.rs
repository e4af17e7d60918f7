//! The page that a message links to.

use super::*;
use insta::assert_snapshot;
use lowtide_model::policy::PublicUrl;

fn at_a_page(body: &MessageBody) -> Forms {
    let sender = Sender {
        public_url: Some(PublicUrl("https://lowtide.example.org".to_owned())),
        ..sender()
    };
    render(body, &sender)
}

#[test]
fn a_message_names_its_page_before_all_else() {
    let recovered = MessageBody::RunRecovered {
        app: "archives".parse().unwrap(),
        run: RUN.parse().unwrap(),
    };
    assert_snapshot!(at_a_page(&recovered).text, @"
    archives: runs succeed again

    All stages passed again. Nothing to do.

    IN THE BROWSER
      Run: https://lowtide.example.org/runs/01JDCS4Z00ABCDEFGHJKMNPQRS

    IF YOU WANT TO KNOW MORE
      What this run did:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS

    -- 
    This closes the thread. Sent by lowtide harbour, 2026-11-23 01:12
    America/Moncton.
    ");
}

#[test]
fn each_message_links_to_the_page_that_shows_most_about_it() {
    let failing = MessageBody::RunFailed {
        app: "archives".parse().unwrap(),
        run: RUN.parse().unwrap(),
        stage: Stage::Test,
        commit: None,
        failure: tests_failed(),
        first: RUN.parse().unwrap(),
        since: ts("2026-11-23T05:12:00Z"),
        commit_to_blame: false,
    };
    let resumed = MessageBody::Resumed {
        app: "archives".parse().unwrap(),
        by: "ana".to_owned(),
        why: "mended".to_owned(),
        form: None,
        probation: 0,
    };
    let refused = MessageBody::ConfigRefused {
        revision: "3f2a9c1".to_owned(),
        problems: "apps.web: …".to_owned(),
        commit: None,
    };
    let report = MessageBody::DailyReport(Box::new(DailyReport {
        from: ts("2026-11-22T12:00:00Z"),
        to: ts("2026-11-23T12:00:00Z"),
        timezone: "UTC".to_owned(),
        apps: Vec::new(),
        blind: Vec::new(),
        next_run: None,
    }));
    let links: Vec<String> = [failing, resumed, refused, report]
        .iter()
        .flat_map(|body| {
            let forms = at_a_page(body);
            let line = forms.text.lines().find(|line| line.contains("https://lowtide"));
            assert!(
                forms.html.contains("<a href=\"https://lowtide.example.org/"),
                "{}",
                forms.html
            );
            line.map(str::to_owned)
        })
        .collect();
    assert_snapshot!(links.join("\n"), @"
    Run: https://lowtide.example.org/runs/01JDCS4Z00ABCDEFGHJKMNPQRS
    App: https://lowtide.example.org/apps/archives
    All apps: https://lowtide.example.org/
    All apps: https://lowtide.example.org/
    ");
}
