//! Decides whether a halt may be lifted: the operator's request must be complete, and the commit or configuration
//! change that it names must exist.

use super::app_state::AppState;
use crate::fleet::app::App;
use globset::GlobBuilder;
use lowtide_model::failure::Failure;
use lowtide_model::halt::{Class, Draft, Exposure, Form, HaltPolicy, Lacking, Require};
use lowtide_model::name::RolloutId;
use std::collections::BTreeSet;

/// Toyota's "five whys".
const WHYS: usize = 5;

/// What an operator gives to resume an app: a reason, a form, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumeRequest<'a> {
    /// A sentence; may be empty when there is a form.
    pub why: &'a str,
    pub draft: Option<&'a Draft>,
}

/// Result of looking up, in the repository, the commit that a form names.
#[derive(Debug, Clone, PartialEq)]
pub enum CommitSeen {
    /// The tracked branch does not have it.
    Away,
    Found {
        /// Full hex id.
        id: String,
        /// Incidents whose release did not have it.
        newer_than: BTreeSet<RolloutId>,
        /// Files of the repository that it adds or changes.
        files: Vec<(String, Touch)>,
    },
    Unseen(Failure),
    /// Others build the image.
    NoRepository,
}

/// What a commit did to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    Changed,
    /// Only white space and comments differ.
    Blank,
}

/// How a halt is lifted.
#[derive(Debug, Clone, PartialEq)]
pub struct Lifted {
    pub why: String,
    pub form: Option<Form>,
    /// Rollouts on probation from now on.
    pub probation: u32,
}

/// The commit that has to be looked for before [`lift`]: a hex id of at least seven digits.
#[must_use]
pub fn named_commit(draft: &Draft) -> Option<&str> {
    let id = draft.commit.as_deref()?.trim();
    let hex = id.bytes().all(|b| b.is_ascii_hexdigit());
    (hex && (7..=64).contains(&id.len())).then_some(id)
}

/// The decision. `app`: its current configuration; `None`: it is no longer configured. `seen`: the lookup of
/// [`named_commit`].
///
/// # Errors
/// Everything that is missing.
pub fn lift(
    app_state: &AppState,
    app: Option<&App>,
    request: ResumeRequest<'_>,
    seen: Option<&CommitSeen>,
) -> Result<Lifted, Vec<Lacking>> {
    let default = HaltPolicy::default();
    let policy = app.map_or(&default, |app| &app.halt);
    let needs_form = policy.require == Require::Countermeasure && !app_state.incidents.is_empty();
    let probation = if app_state.incidents.is_empty() {
        0
    } else {
        policy.probation
    };
    let why = request.why.trim();
    let Some(draft) = request.draft else {
        return match (needs_form, why) {
            (true, _) => Err(vec![Lacking::Form]),
            (false, "") => Err(vec![Lacking::Reason]),
            (false, why) => Ok(Lifted {
                why: why.to_owned(),
                form: None,
                probation,
            }),
        };
    };
    let mut lacking: Vec<Lacking> = draft.odd.iter().cloned().map(Lacking::Odd).collect();
    let whys = whys(draft, &mut lacking);
    let class = class(draft, &mut lacking);
    let commit = commit(app_state, policy, draft, seen, &mut lacking);
    config(app_state, app, draft, &mut lacking);
    let named = draft.commit.as_deref().is_some_and(|id| !id.trim().is_empty());
    if !named && !draft.config {
        lacking.push(Lacking::Countermeasure);
    }
    if class == Some(Class::Noise) && !draft.config {
        lacking.push(Lacking::NoiseNeedsConfig);
    }
    match class {
        Some(class) if lacking.is_empty() => Ok(Lifted {
            why: if why.is_empty() {
                whys.last().cloned().unwrap_or_default()
            } else {
                why.to_owned()
            },
            form: Some(Form {
                whys,
                class,
                commit,
                config: draft.config,
            }),
            probation,
        }),
        Some(_) | None => Err(lacking),
    }
}

/// Is the configuration the same as when the app was halted? Settings for recipients, mode, schedule and halts do not
/// count.
#[must_use]
pub fn same_settings(then: &App, now: &App) -> bool {
    let App {
        name: _,
        mode: _,
        timezone: _,
        maintainers: _,
        origin,
        env,
        tests,
        ready,
        publish,
        schedule: _,
        rollout,
        github_repo: _,
        halt: _,
        repository_file,
    } = now;
    then.origin == *origin
        && then.env == *env
        && then.tests == *tests
        && then.ready == *ready
        && then.publish == *publish
        && then.rollout == *rollout
        && then.repository_file == *repository_file
}

/// How old the running images are, and how many security fixes they lack.
#[must_use]
pub fn exposure(app_state: &AppState) -> Exposure {
    let built = app_state
        .targets
        .values()
        .filter_map(|target| target.current)
        // For an image that ran before our first release, the build time is unknown.
        .filter_map(|run| app_state.releases.iter().find(|release| release.run == run))
        .map(|release| release.at)
        .min();
    // A target on the last release lacks the fixes that no rebuild brings; for a target on an older image, what was
    // found pending in that image counts.
    let missing = app_state.unfixable.as_ref().map_or(0, |(_, unfixable)| {
        let running = unfixable.running.values().map(|behind| behind.security);
        running.chain([unfixable.security]).max().unwrap_or(0)
    });
    Exposure {
        built,
        security: missing.max(app_state.unused_fixes()),
    }
}

/// Does the path belong to the tests? Case does not matter: `FooTest.php` is one.
#[must_use]
pub fn is_test(globs: &[String], path: &str) -> bool {
    globs.iter().any(|glob| {
        let built = GlobBuilder::new(glob)
            .literal_separator(true)
            .case_insensitive(true)
            .build();
        // Invalid patterns are rejected when the configuration is read.
        built.is_ok_and(|glob| glob.compile_matcher().is_match(path))
    })
}

fn whys(draft: &Draft, lacking: &mut Vec<Lacking>) -> Vec<String> {
    let whys: Vec<String> = draft.whys.iter().map(|why| why.trim().to_owned()).collect();
    let empty: Vec<usize> = (1..=whys.len()).filter(|n| whys[n - 1].is_empty()).collect();
    if empty.len() == whys.len() {
        lacking.push(Lacking::Whys);
    } else {
        lacking.extend(empty.into_iter().map(Lacking::EmptyWhy));
    }
    if whys.len() > WHYS {
        lacking.push(Lacking::TooManyWhys(whys.len()));
    }
    match draft.root.as_deref().map(str::trim) {
        Some("reached") => {}
        None | Some("" | "open") if whys.len() >= WHYS => {}
        None | Some("" | "open") => lacking.push(Lacking::Root { whys: whys.len() }),
        Some(other) => lacking.push(Lacking::RootWord(other.to_owned())),
    }
    whys
}

fn class(draft: &Draft, lacking: &mut Vec<Lacking>) -> Option<Class> {
    let Some(text) = draft.class.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
        lacking.push(Lacking::Class);
        return None;
    };
    let class = Class::ALL.into_iter().find(|class| class.word() == text);
    if class.is_none() {
        lacking.push(Lacking::ClassWord(text.to_owned()));
    }
    class
}

fn commit(
    app_state: &AppState,
    policy: &HaltPolicy,
    draft: &Draft,
    seen: Option<&CommitSeen>,
    lacking: &mut Vec<Lacking>,
) -> Option<String> {
    let text = draft.commit.as_deref().map(str::trim).filter(|text| !text.is_empty())?;
    if named_commit(draft).is_none() {
        lacking.push(Lacking::CommitWord(text.to_owned()));
        return None;
    }
    match seen {
        None | Some(CommitSeen::Away) => {
            lacking.push(Lacking::CommitAway(text.to_owned()));
            None
        }
        Some(CommitSeen::NoRepository) => {
            lacking.push(Lacking::NoRepository);
            None
        }
        Some(CommitSeen::Unseen(failure)) => {
            lacking.push(Lacking::CommitUnseen(failure.clone()));
            None
        }
        Some(CommitSeen::Found { id, newer_than, files }) => {
            let old = app_state.incidents.iter().find(|i| !newer_than.contains(&i.rollout));
            if let Some(incident) = old {
                lacking.push(Lacking::CommitOld {
                    commit: id.clone(),
                    failed: incident.commit.clone().unwrap_or_default(),
                });
            }
            let tests: Vec<&(String, Touch)> = files.iter().filter(|(path, _)| is_test(&policy.tests, path)).collect();
            let tested = tests.iter().any(|(_, touch)| *touch == Touch::Changed);
            lacking.extend(match (tested, tests.first()) {
                (true, _) => None,
                (false, Some((path, _))) => Some(Lacking::CommitBlank {
                    commit: id.clone(),
                    path: path.clone(),
                }),
                (false, None) => Some(Lacking::CommitTestless {
                    commit: id.clone(),
                    globs: policy.tests.clone(),
                }),
            });
            Some(id.clone())
        }
    }
}

fn config(app_state: &AppState, app: Option<&App>, draft: &Draft, lacking: &mut Vec<Lacking>) {
    if !draft.config {
        return;
    }
    match (&app_state.settings, app) {
        (Some(then), Some(now)) if same_settings(then, now) => lacking.push(Lacking::ConfigSame),
        (Some(_), Some(_)) => {}
        (None, _) | (_, None) => lacking.push(Lacking::ConfigUnknown),
    }
}

#[cfg(test)]
#[path = "halt_tests.rs"]
mod tests;
