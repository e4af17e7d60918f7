//! The daily report: one mail per person and day, and a heartbeat when nothing happened.

use super::link::Place;
use super::message_page::{self, Sender};
use super::page::{Block, Item, Page, Rendered, Section, Tone, capped};
use super::words::{self, counted, plural};
use super::{change, clean, halt, outstanding};
use lowtide_model::inventory::PackageChange;
use lowtide_model::message::{DailyReport, DailyReportApp, DailyReportLine};

/// Entries of all lists together that are shown whole; a report is read on a phone.
const FEW: usize = 12;
/// Of more: entries of what needs somebody, and of each other list.
const ACTIONS: usize = 8;
const ENTRIES: usize = 4;
/// Apps named in one entry.
const NAMES: usize = 4;
/// Packages named per app.
const PACKAGES: usize = 4;

pub(super) fn page(body: &DailyReport, sender: &Sender) -> Rendered {
    let mut lists = Lists::of(body);
    let (tone, verdict) = verdict(body, &lists);
    let title = title(body, &lists);
    let counts = Counts::of(&lists);
    let mut sections = Vec::new();
    if !body.blind.is_empty() {
        let rows = body
            .blind
            .iter()
            .map(|what| item("", clean::one_line(what, 300)))
            .collect();
        sections.push(list("Not seen", rows, FEW));
    }
    // The app that lacks most comes first.
    lists.lacks.sort_by_key(|(security, _)| std::cmp::Reverse(*security));
    let rest = [
        ("What changed", lists.changed),
        ("Rolled back", lists.back),
        ("Would have changed (observe mode)", lists.observed),
        ("What waits, and why", lists.waiting),
        ("Halted", lists.halted),
        (
            "Missing security fixes",
            lists.lacks.into_iter().map(|(_, row)| row).collect(),
        ),
    ]
    .map(|(heading, rows)| (heading, grouped(rows)));
    let action = grouped(lists.action);
    let all = action.len() + rest.iter().map(|(_, rows)| rows.len()).sum::<usize>();
    let cap = |most: usize| if all <= FEW { FEW } else { most };
    for (heading, rows, most) in [("Needs you", action, cap(ACTIONS))]
        .into_iter()
        .chain(rest.map(|(heading, rows)| (heading, rows, cap(ENTRIES))))
    {
        if !rows.is_empty() {
            sections.push(list(heading, rows, most));
        }
    }
    sections.push(Section::new("Also", vec![Block::Text(besides(body, lists.unchanged))]));
    let rendered = Rendered {
        subject: format!("{verdict}: {title}"),
        lead: true,
        page: Page {
            tone,
            pill: verdict,
            title: words::sentence_start(&title),
            now: now(body, &counts),
            sections,
            footer: format!(
                "At most one report a day, and one a week when nothing happens: if none comes for eight days, lowtide \
                 may be down. {}.",
                message_page::sent_by(sender)
            ),
        },
    };
    message_page::linked(rendered, &Place::Fleet, sender)
}

#[derive(Default)]
struct Lists {
    /// What needs attention, with the command that shows or settles it.
    action: Vec<Item>,
    /// Apps with something under *Needs you*, failing or halted.
    actions: usize,
    changed: Vec<Item>,
    back: Vec<Item>,
    /// With the number of fixes.
    lacks: Vec<(usize, Item)>,
    observed: Vec<Item>,
    waiting: Vec<Item>,
    halted: Vec<Item>,
    /// Runs that found nothing to change.
    unchanged: usize,
    released: usize,
    rolled: usize,
    /// Packages that releases brought in a newer version.
    packages: usize,
}

impl Lists {
    fn of(body: &DailyReport) -> Self {
        let mut lists = Self::default();
        for DailyReportApp { app, lines } in &body.apps {
            let before = lists.action.len();
            for line in lines {
                lists.add(app.as_str(), line, body);
            }
            lists.actions += usize::from(lists.action.len() > before);
        }
        lists
    }

    fn add(&mut self, app: &str, line: &DailyReportLine, body: &DailyReport) {
        let tag = |tag: &str| clean::one_line(tag, 128);
        match line {
            DailyReportLine::Unchanged { runs } => self.unchanged += runs,
            DailyReportLine::Released { tag: t, change } => {
                self.released += 1;
                let updated = |package: &&PackageChange| package.old.is_some() && package.new.is_some();
                self.packages += change
                    .iter()
                    .flat_map(|change| &change.packages)
                    .filter(updated)
                    .count();
                let what = format!("released {}: {}", tag(t), change::summary(change.as_ref(), PACKAGES));
                self.changed.push(item(app, what));
            }
            DailyReportLine::Observed { tag: t, change } => {
                let what = format!("{}: {}", tag(t), change::summary(change.as_ref(), PACKAGES));
                self.observed.push(item(app, what));
            }
            DailyReportLine::Failing { stage, failure, since } => {
                let what = format!(
                    "fails at {stage} for {}. {}",
                    words::span(*since, body.to),
                    words::failure(failure)
                );
                self.action.push(Item {
                    command: Some(format!("lowtide history {app}")),
                    ..item(app, what)
                });
            }
            DailyReportLine::RolledOut { target, tag: t } => {
                self.rolled += 1;
                self.changed.push(item(app, format!("{} runs on {target}", tag(t))));
            }
            DailyReportLine::Refused { .. }
            | DailyReportLine::Unpromoted { .. }
            | DailyReportLine::Drifted { .. }
            | DailyReportLine::WentBack { .. } => {
                self.add_moved(app, line, body);
            }
            DailyReportLine::RegistryDrifted { .. } => self.add_registry(app, line, body),
            DailyReportLine::Lacks { security } => {
                let what = counted(*security, "security fix", "security fixes");
                self.lacks.push((*security, item(app, what)));
            }
            DailyReportLine::Waiting { target, tag: t, why } => {
                self.waiting.push(item(
                    app,
                    format!("{} for {target}: {}", tag(t), clean::one_line(why, 200)),
                ));
            }
            DailyReportLine::Halted {
                since,
                reason,
                exposure,
                require,
            } => {
                let what = "is halted until it is resumed.".to_owned();
                self.action.push(Item {
                    command: Some(halt::command(app, reason, *require)),
                    ..item(app, what)
                });
                let mut what = format!("for {}. {}", words::span(*since, body.to), words::halted(reason));
                let exposed = halt::exposed(*exposure, body.to);
                if !exposed.is_empty() {
                    what.push_str(&format!(" It {exposed}."));
                }
                self.halted.push(item(app, what));
            }
        }
    }
}

/// Releases that did not reach their target or channel, or were rolled back from it.
impl Lists {
    fn add_registry(&mut self, app: &str, line: &DailyReportLine, body: &DailyReport) {
        if let DailyReportLine::RegistryDrifted {
            reference,
            since,
            drift,
        } = line
        {
            let what = outstanding::registry_drifted(reference, *since, drift, body.to);
            let what = format!("{what}. {}", outstanding::registry_advice(drift));
            self.action.push(item(app, what));
        }
    }

    fn add_moved(&mut self, app: &str, line: &DailyReportLine, body: &DailyReport) {
        let tag = |tag: &str| clean::one_line(tag, 128);
        match line {
            DailyReportLine::WentBack {
                target,
                tag: t,
                from,
                by,
            } => {
                let from = from.as_deref().map_or_else(|| "a release".to_owned(), tag);
                let by = by
                    .as_deref()
                    .map_or_else(String::new, |by| format!(" by {}", clean::one_line(by, 60)));
                let what = format!("{from} was rolled back{by}: {} runs on {target} again", tag(t));
                self.back.push(item(app, what));
            }
            DailyReportLine::Refused {
                target,
                tag: t,
                since,
                failure,
            } => {
                let since = words::span(*since, body.to);
                let (why, helps) = (words::failure(failure), words::advice(failure.kind));
                let what = format!("{target} refused {} {since} ago. {why} {helps}", tag(t));
                self.action.push(run_again(app, what));
            }
            DailyReportLine::Drifted {
                target,
                tag: t,
                since,
                drift,
            } => {
                let what = format!("{}.", outstanding::drifted(target, t, *since, drift, body.to));
                self.action.push(run_again(app, what));
            }
            DailyReportLine::Unpromoted {
                channel,
                tag: t,
                since,
                failure,
                again,
            } => {
                let (since, why) = (words::span(*since, body.to), words::failure(failure));
                let what = format!("{channel} has been missing {} for {since}. {why}", tag(t));
                match again {
                    Some(at) => {
                        let at = words::moment(*at, &body.timezone);
                        self.waiting.push(item(app, format!("{what} It is tried again {at}.")));
                    }
                    None => self.action.push(run_again(app, what)),
                }
            }
            DailyReportLine::Unchanged { .. }
            | DailyReportLine::Released { .. }
            | DailyReportLine::Observed { .. }
            | DailyReportLine::Failing { .. }
            | DailyReportLine::RolledOut { .. }
            | DailyReportLine::RegistryDrifted { .. }
            | DailyReportLine::Lacks { .. }
            | DailyReportLine::Waiting { .. }
            | DailyReportLine::Halted { .. } => {}
        }
    }
}

fn run_again(app: &str, text: String) -> Item {
    Item {
        command: Some(format!("lowtide run {app}")),
        ..item(app, text)
    }
}

fn item(name: &str, text: String) -> Item {
    Item {
        name: name.to_owned(),
        text,
        command: None,
    }
}

fn verdict(body: &DailyReport, lists: &Lists) -> (Tone, String) {
    if !body.blind.is_empty() {
        (Tone::Bad, "BLIND".to_owned())
    } else if lists.actions > 0 {
        (Tone::Warn, format!("ACTION {}", lists.actions))
    } else {
        (Tone::Good, "OK".to_owned())
    }
}

/// For the subject: the most important facts, in a few words.
fn title(body: &DailyReport, lists: &Lists) -> String {
    let mut parts = Vec::new();
    if !body.blind.is_empty() {
        parts.push(format!("{} not seen", counted(body.blind.len(), "thing", "things")));
    }
    if lists.actions > 0 {
        let verb = plural(lists.actions, "needs", "need");
        parts.push(format!("{} {verb} you", counted(lists.actions, "app", "apps")));
    }
    for (n, what) in [
        (lists.released, "released"),
        (lists.rolled, "rolled out"),
        (lists.back.len(), "rolled back"),
        (lists.waiting.len(), "waiting"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    if parts.is_empty() {
        parts.push(format!(
            "{} watched, nothing changed",
            counted(body.apps.len(), "app", "apps")
        ));
    }
    parts.join(", ")
}

/// What the first line counts.
struct Counts {
    rolled: usize,
    packages: usize,
    actions: usize,
}

impl Counts {
    fn of(lists: &Lists) -> Self {
        Self {
            rolled: lists.rolled,
            packages: lists.packages,
            actions: lists.actions,
        }
    }
}

/// For the one who reads no further.
fn now(body: &DailyReport, counts: &Counts) -> String {
    let mut parts = vec![format!("{} checked", counted(body.apps.len(), "app", "apps"))];
    if counts.rolled > 0 {
        parts.push(format!("{} rolled out", counted(counts.rolled, "release", "releases")));
    }
    if counts.packages > 0 {
        parts.push(format!("{} updated", counted(counts.packages, "package", "packages")));
    }
    parts.push(if counts.actions > 0 {
        let verb = plural(counts.actions, "needs", "need");
        format!("{} {verb} you", counted(counts.actions, "app", "apps"))
    } else {
        "nothing for you".to_owned()
    });
    let mut line = format!("{}.", parts.join(", "));
    if !body.blind.is_empty() {
        line.push_str(" Some checks or notices failed, so no news about them is not good news: they come first.");
    }
    line
}

fn besides(body: &DailyReport, unchanged: usize) -> String {
    let zone = &body.timezone;
    let mut text = format!(
        "From {}: {} watched",
        words::from_to(body.from, body.to, zone),
        counted(body.apps.len(), "app", "apps")
    );
    if unchanged > 0 {
        text.push_str(&format!(
            ", {} found nothing to change",
            counted(unchanged, "run", "runs")
        ));
    }
    match body.next_run {
        Some(next) => text.push_str(&format!(". The next run is due {}.", words::moment(next, zone))),
        None => text.push_str(". No run is planned."),
    }
    text
}

/// Entries that say the same of several apps become one, where the first of them stands. Its command is the first app's.
fn grouped(rows: Vec<Item>) -> Vec<Item> {
    let mut groups: Vec<(Item, Vec<String>)> = Vec::new();
    for row in rows {
        match groups
            .iter_mut()
            .find(|(first, _)| first.text == row.text && !row.name.is_empty())
        {
            Some((_, names)) => names.push(row.name),
            None => groups.push((row.clone(), vec![row.name])),
        }
    }
    let merged = |(first, names): (Item, Vec<String>)| {
        let (shown, more) = capped(names, NAMES);
        let mut name = shown.join(", ");
        if more > 0 {
            name.push_str(&format!(" and {more} more"));
        }
        Item { name, ..first }
    };
    groups.into_iter().map(merged).collect()
}

fn list(heading: &'static str, rows: Vec<Item>, most: usize) -> Section {
    let (rows, more) = capped(rows, most);
    Section::new(heading, vec![Block::Items { rows, more }])
}
