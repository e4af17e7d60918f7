use super::*;
use crate::runtime::fleet_status;
use lowtide_core::config::validate;
use lowtide_model::failure::HaltReason;
use std::sync::Arc;

fn now() -> Timestamp {
    "2026-11-23T09:00:00Z".parse().unwrap()
}

/// So many apps; the last ones of them are halted.
fn fleet(apps: usize, halted: usize) -> FleetStatus {
    let app = |n| format!("  app-{n:04}: {{ source: {{ repo: 'https://git.example.org/web.git' }} }}\n");
    let text = format!(
        "version: 1\nhosts: {{ local: {{ docker: 'unix:///nowhere/docker.sock' }} }}\napps:\n{}",
        (1..=apps).map(app).collect::<String>()
    );
    let fleet = validate::fleet(text.as_bytes()).unwrap();
    let mut fleet_status = fleet_status::untouched(&fleet, false, now());
    for app in fleet_status.apps.iter_mut().rev().take(halted) {
        let (by, why) = ("ops".to_owned(), "drill".to_owned());
        Arc::make_mut(&mut app.app_state).halted = Some((now(), HaltReason::Operator { by, why }));
    }
    fleet_status
}

fn page(fleet_status: &FleetStatus) -> String {
    html(fleet_status, "lowtide-test", "UTC").into_string()
}

#[test]
fn a_small_fleet_is_shown_whole_and_in_its_order() {
    let page = page(&fleet(3, 1));
    assert_eq!(page.matches("<tr>").count(), 4);
    assert!(page.find("app-0001").unwrap() < page.find("app-0003").unwrap());
    assert!(!page.contains("other app"));
}

/// A person with a thousand apps sees first who needs one; every other name can be searched for.
#[test]
fn a_large_fleet_shows_first_what_needs_a_person() {
    let page = page(&fleet(1000, 2));
    assert!(page.contains("2 need attention"), "{page}");
    assert!(page.contains("2 halted</span> · <span class=\"new\">998 new"), "{page}");
    assert_eq!(
        page.matches("<tr>").count(),
        3,
        "nothing is to be done about the others"
    );
    assert!(page.find("app-0999").unwrap() < page.find("app-0001").unwrap());
    for n in 1..=1000 {
        assert!(page.contains(&format!("app-{n:04}")), "{n}");
    }
    assert!(page.len() < 60_000, "{}", page.len());
}

/// Whatever happens to it, the page of a thousand apps stays one that a browser and a slow line bear.
#[test]
fn the_page_is_bounded() {
    for halted in [0, 150, 1000] {
        let page = page(&fleet(1000, halted));
        assert!(page.len() < 200_000, "{halted}: {}", page.len());
    }
    assert!(page(&fleet(1000, 1000)).contains("850 other apps"));
}

#[test]
fn every_state_has_its_urgency() {
    let mut words = URGENCY;
    let mut all = AppCondition::WORDS;
    words.sort_unstable();
    all.sort_unstable();
    assert_eq!(words, all);
    assert_eq!(URGENCY[urgency(&AppCondition::Fresh)], AppCondition::Fresh.word());
    assert_eq!(URGENCY[urgency(&AppCondition::New)], AppCondition::New.word());
}
