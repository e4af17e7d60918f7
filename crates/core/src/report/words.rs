//! Sentences shared by mail, terminal and pages: one function per kind of fact, each match exhaustive.

use super::clean;
use crate::fleet::app_state::UnfixableUpdates;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{Failure, FailureKind, Fault, HaltReason, SkipReason, WaitReason};
use lowtide_model::freshness::{Because, Behind, Fix, Survey};
use lowtide_model::name::{AppName, TargetName};
use lowtide_model::rollout::RolloutConclusion;
use lowtide_model::run::{Conclusion, Stage, Trigger};
use lowtide_model::secret::EnvValue;
use lowtide_model::window::Closing;
pub use lowtide_model::words::{counted, plural};
use std::collections::BTreeMap;

/// Characters of a detail that are shown in a sentence.
const DETAIL: usize = 300;

/// Of a base of other images, which its tests and publishing do not start.
pub const NOT_STARTED: &str =
    "not started: it has neither CMD nor ENTRYPOINT, and as a base of other images needs none";

/// A set of a test's matrix, as `DB=11.4`; `None`: the test has no matrix. Of a secret only the name is shown.
#[must_use]
pub fn of_set(set: &BTreeMap<String, EnvValue>) -> Option<String> {
    let shown = |(name, value): (&String, &EnvValue)| match value {
        EnvValue::Text(text) => format!("{name}={text}"),
        EnvValue::Secret(_) => name.clone(),
    };
    let shown: Vec<String> = set.iter().map(shown).collect();
    (!shown.is_empty()).then(|| shown.join(", "))
}

/// Why a release is tested again.
#[must_use]
pub fn moved_sidecars(moved: &[String]) -> String {
    format!(
        "beside {} as {} now",
        moved.join(", "),
        if moved.len() == 1 { "it is" } else { "they are" }
    )
}

/// `round` from 0.
#[must_use]
pub fn round(round: u16, rounds: usize, set: &str) -> String {
    format!("round {} of {rounds}, with {set}", u32::from(round) + 1)
}

/// A full sentence: where in the run it failed, and of what.
#[must_use]
pub fn failed_at(stage: Stage, kind: FailureKind) -> String {
    let during = match stage {
        Stage::Resolve => "While resolving the inputs of the build",
        Stage::Build => "During the build",
        Stage::Pull => "While pulling the new image",
        Stage::Inspect => "While inspecting the new image",
        Stage::Bootstrap => "While installing the test tools in the new image",
        Stage::Test => "In the tests inside the new image",
        Stage::Publish => "While publishing the tested image",
    };
    format!("{during}: {}.", kind.words())
}

/// A failure without its stage: `The build failed: exit code 100.` A detail that says it all stands alone.
#[must_use]
pub fn failure(failure: &Failure) -> String {
    let kind = failure.kind.words();
    let detail = clean::one_line(&failure.detail, DETAIL);
    if detail.is_empty() {
        format!("{}.", sentence_start(kind))
    } else if detail.starts_with(kind) {
        ended(&sentence_start(&detail))
    } else if detail.contains(kind) {
        // It may begin with a command or a name: as written.
        ended(&detail)
    } else {
        format!("{}: {}", sentence_start(kind), ended(&detail))
    }
}

/// Who needs to act on a failure, and what that means for the app.
#[must_use]
pub fn fault(fault: Fault) -> &'static str {
    match fault {
        Fault::Repo => "The app's maintainers: the cause is in the repository.",
        Fault::Infra => "The operators: the cause is outside the repository. It is not counted against the app.",
        Fault::Operator => "The operators: a setting, a right, or the place where it runs needs to be corrected.",
        Fault::Bug => "The operators: this is a fault of lowtide itself. The run is stopped; please report it.",
    }
}

/// What helps, in one or two sentences.
#[must_use]
#[expect(clippy::too_many_lines, reason = "a table: a line for each kind")]
pub fn advice(kind: FailureKind) -> &'static str {
    use FailureKind as K;
    match kind {
        K::ConfigMissing => "Look at the place given as --config.",
        K::SourceGone => "Correct source.repo in the configuration, or give the credential access to it.",
        K::GitFailed => "Look at git's own words above, and at the disk of the machine lowtide runs on.",
        K::RegistryRefused => "Look at the registry's answer above and at its log.",
        K::ComposeRefused => "Correct the compose file, or describe the test's sidecars in the configuration.",
        K::SourceUnreachable => "Nothing to do if the git server comes back: the next run tries again.",
        K::SourceDenied => "Renew the token or key under source in the configuration, and its read access.",
        K::SourceMissing => "Restore the branch or tag, or change source in the configuration.",
        K::SourceEmpty => "Push a first commit.",
        K::SourceTooLarge => "Remove large files from the repository, or raise source.max_size.",
        K::SourceHostile => "Remove the named files from the repository.",
        K::RepositoryFileRefused => {
            "Correct the named lines; `lowtide check --repo .` in the repository shows the same."
        }
        K::DockerfileMissing => "Add the Dockerfile, or correct source.dockerfile in the configuration.",
        K::IgnoreInvalid => "Make the .dockerignore a text file with one pattern a line.",
        K::DockerfileInvalid => "Correct the named line of the Dockerfile.",
        K::BaseMissing => "Change FROM to an image that exists.",
        K::FrontendMissing => {
            "Nothing to do if the image comes back; else change the line # syntax= of the Dockerfile."
        }
        K::FollowedMissing => "Correct source.tags in the configuration, or source.image.",
        K::RuleGoesDown => {
            "Correct source.tags in the configuration; `lowtide revert` goes back to the release before."
        }
        K::RegistryUnreachable => "Nothing to do if the registry comes back: the next run tries again.",
        K::RegistryBusy => {
            "Nothing to do: lowtide waits. If it recurs, configure the credential of an account with a higher limit."
        }
        K::RegistryDenied => "Renew the registry's credential in the configuration, and its rights.",
        K::CredentialConflict => "Give one of the two credentials access to both images, and name it for both.",
        K::BuildFailed => "Correct the named line of the Dockerfile; the last lines of the build are above.",
        K::BuildTimeout => "Make the build faster, or raise build.timeout.",
        K::PackageIndexStale => "Nothing to do if the package mirror comes back: the next run tries again.",
        K::EngineUnreachable => "Look at the build host and its Docker engine.",
        K::EngineRefused => "Look at the engine's answer above and at the engine's log.",
        K::EngineRejected => {
            "Look at the engine's answer above: something in the configuration or on that host has to change first."
        }
        K::DiskFull => "Free disk space on the host, or lower the retention limits.",
        K::ImageUnreadable => "Look at the build host's disk and Docker engine.",
        K::StaleBuild => "Refresh the package lists in the RUN line that installs: apt-get update && apt-get install.",
        K::SidecarFailed => "Start the named sidecar by hand with the same settings, and look at its log.",
        K::MirrorUnreachable => "Nothing to do if the mirror comes back: the next run tries again.",
        K::NothingToStart => {
            "Give the Dockerfile a CMD or ENTRYPOINT; for a base of other images, take test, ready and rollout out of the app."
        }
        K::NotReady => "Start the image with the test environment and see what it waits for.",
        K::TestFailed => "Correct the code or the named tests, and push; the next run picks it up.",
        K::TestTimeout => "Make the tests faster, or raise test.timeout.",
        K::TestOutputFlood => "Make the tests quieter, or raise test.limits.output.",
        K::TestDiskFlood => "Make the tests write less, or raise test.limits.disk.",
        K::TestReportInvalid => "Look at the JUnit file that the tests write.",
        K::OutOfMemory => "Use less memory, or raise test.limits.memory.",
        K::ContainerExited => "Look at the container's last lines above.",
        K::NotReadyInProduction => "Start the image as it ships, without the test environment, and see what it lacks.",
        K::TagTaken => "Find out who pushed that tag; lowtide never overwrites it. A template with {run} avoids this.",
        K::DigestMismatch => "Look at the registry: it must serve what was pushed. The next run publishes it again.",
        K::PreflightRefused => "Change the named setting of the container, or roll this target by other means.",
        K::TargetMissing => "Start the containers, or correct the target in the configuration.",
        K::TargetSick => "Repair the containers, or replace them anyway: `lowtide run APP --now --replace-unhealthy`.",
        K::ReleaseMissing => "Restore the release in the registry, or create the channel's repository there.",
        K::RouterFailed => "Run the named command by hand inside the router's container.",
        K::BeforeHookFailed => "Run the named hook by hand inside the old container.",
        K::HookFailed => "Run the named hook by hand inside the container.",
        K::CommandMissing => "Put the program where lowtide runs, or correct the command in the configuration.",
        K::CommandFailed => "Look at the command's last lines above, and run it by hand where lowtide runs.",
        K::CommandTimeout => "Make the command faster, or raise its timeout.",
        K::NoAnswer => "Look at the target itself, and at the command's last lines above.",
        K::StartFailed => {
            "Give the host what the engine's answer above says it lacks; nothing is wrong with the release."
        }
        K::NotExecutable => "Start the image by hand: the command above is not in it, or cannot be executed.",
        K::UnhealthyAfterRevert => "Look at the old container's last lines above; it may need you now.",
        K::UnhealthyAfterRoll | K::Restarting => "Look at the new container's last lines above.",
        K::ServiceRefused => "Do what is named above; lowtide does not interfere with an update by someone else.",
        K::NotScheduled => {
            "Look at the service's constraints, ports and memory, and at the nodes: `docker service ps`."
        }
        K::Diverged => "Find out who changed the containers, then resume.",
        K::WindowClosed => "Make the window longer, or take it by `lowtide run APP --now` when you can watch.",
        K::Withdrawn => "Nothing: an operator withdrew the release.",
        K::HandoverFailed => "Look at the log of the container named .helper: it has lowtide's own image and settings.",
        K::NotTakenOver => {
            "Look at the new container's last lines above: it has to serve with this state and configuration."
        }
        K::RevertFailed => "Look at the host now: a container may be down.",
        K::SecretMissing => "Set the named environment variable or file where lowtide runs.",
        K::LocalTrouble => "Look at the machine lowtide runs on: its disk, memory, open files, rights of the state.",
        K::Invariant => "Please report it with the output of the command below.",
    }
}

/// Why an app is halted, as one sentence.
#[must_use]
pub fn halted(reason: &HaltReason) -> String {
    match reason {
        HaltReason::Reverted { failure } => format!("A rollout was rolled back. {}", self::failure(failure)),
        HaltReason::Irreversible { failure } => {
            format!(
                "A rollout that cannot be rolled back failed. {}",
                self::failure(failure)
            )
        }
        HaltReason::Stuck { failure } => format!("A rollout is stuck. {}", self::failure(failure)),
        HaltReason::Withdrawn { by, why, tag, .. } => format!(
            "{} withdrew {}: {}",
            clean::one_line(by, 80),
            clean::one_line(tag, 128),
            ended(&clean::one_line(why, DETAIL))
        ),
        HaltReason::Operator { by, why } => format!(
            "{} stopped it: {}",
            clean::one_line(by, 80),
            ended(&clean::one_line(why, DETAIL))
        ),
    }
}

/// An app that is not configured, and the one that was probably meant.
#[must_use]
pub fn no_such_app<'a>(name: &str, known: impl Iterator<Item = &'a AppName>) -> String {
    let near = known
        .map(|app| (strsim::damerau_levenshtein(name, app.as_str()), app))
        // A third of the letters may be wrong, but not a short name as a whole.
        .filter(|(distance, app)| *distance <= 1.max(app.as_str().chars().count() / 3))
        .filter(|(distance, app)| *distance < app.as_str().chars().count())
        .min_by_key(|(distance, _)| *distance);
    let name = clean::one_line(name, 80);
    match near {
        Some((_, app)) => format!("no such app: {name}; did you mean {app}?"),
        None => format!("no such app: {name}"),
    }
}

/// Why something due has not happened yet. Times are shown in `zone` (an IANA name).
#[must_use]
pub fn waiting(reason: &WaitReason, zone: &str) -> String {
    match reason {
        WaitReason::Window { opens } => format!("waits for its window, {}", moment(*opens, zone)),
        WaitReason::NoWindow => "has no window: `lowtide run APP --now` starts it".to_owned(),
        WaitReason::WindowNeverOpens => "waits for a window that never opens: it starts with `lowtide run APP \
                                         --now`, or when the window is changed"
            .to_owned(),
        WaitReason::WindowTooShort { needs, longest } => format!(
            "never begins by itself: it may need {}, and no opening of its window is longer than {}",
            lasting(*needs),
            lasting(*longest)
        ),
        WaitReason::Frozen { why } => format!("is frozen: {}", clean::one_line(why, 120)),
        WaitReason::Suspended { closing, until } => {
            format!("is suspended, {}, until {}", closed(closing), moment(*until, zone))
        }
        WaitReason::Baking { until } => format!("is being watched until {}", moment(*until, zone)),
        WaitReason::Converging {
            service,
            done,
            total,
            deadline,
        } => format!(
            "{}: {done} of {total} tasks, until {} at the latest",
            clean::one_line(service, 80),
            moment(*deadline, zone)
        ),
        WaitReason::HookBusy { hook, retry } => format!(
            "`{}` asked for a later retry, at {}",
            clean::one_line(hook, 80),
            moment(*retry, zone)
        ),
        WaitReason::Retry { at, failure } => {
            format!("is tried again at {}: {}", moment(*at, zone), failure.kind.words())
        }
        WaitReason::OtherRuns { limit } => format!("waits for other runs: limits.runs is {limit}"),
        WaitReason::Paused => "everything is paused".to_owned(),
        WaitReason::Halted => "the app is halted".to_owned(),
        WaitReason::LastInQueue => "lowtide replaces itself when nothing else is under way".to_owned(),
    }
}

fn closed(closing: &Closing) -> String {
    match closing {
        Closing::Ended => "since its window closed".to_owned(),
        Closing::Denied { why: None } => "since its window was denied".to_owned(),
        Closing::Denied { why: Some(why) } | Closing::Frozen { why } => clean::one_line(why, 120),
    }
}

/// Why a run ended without a new image.
#[must_use]
pub fn skipped(reason: &SkipReason) -> String {
    match reason {
        SkipReason::SameContent => "a rebuild changes nothing".to_owned(),
        SkipReason::Quarantined { digest } => {
            format!(
                "a rebuild gives the same image that was rolled back ({})",
                short_digest(digest)
            )
        }
        SkipReason::NothingToGain {
            out_of_reach,
            security,
            unknown,
        } => nothing_to_gain(*out_of_reach, *security, unknown),
        SkipReason::SameAgain { tag } => {
            format!("{} was pushed again with the same content", clean::one_line(tag, 128))
        }
        SkipReason::NothingNewer { tag } => format!("nothing newer than {}", clean::one_line(tag, 128)),
        SkipReason::WentBack { tag } => {
            let tag = clean::one_line(tag, 128);
            format!("{tag} was moved back to an earlier image, which lowtide does not follow")
        }
        SkipReason::Soaking { tag, until } => {
            format!(
                "{} is new, and is taken from {} on",
                clean::one_line(tag, 128),
                moment(*until, "UTC")
            )
        }
    }
}

fn nothing_to_gain(out_of_reach: usize, security: usize, unknown: &[String]) -> String {
    let mut text = "no changes that a rebuild could pick up".to_owned();
    if out_of_reach > 0 {
        let fixes = counted(out_of_reach, "package needs", "packages need");
        text.push_str(&format!("; {fixes} a new base image or another version pin"));
        if security > 0 {
            text.push_str(&format!(", {security} of them for security"));
        }
    }
    if let Some(first) = unknown.first() {
        let more = unknown.len() - 1;
        let source = clean::one_line(first, 80);
        text.push_str(&format!("; not known: {source}"));
        if more > 0 {
            text.push_str(&format!(" and {more} more"));
        }
    }
    text
}

/// Why a run builds: `a new commit, 1a2b3c4; 12 packages are pending (3 for security)`.
#[must_use]
pub fn because(reasons: &[Because]) -> String {
    let reason = |reason: &Because| match reason {
        Because::First => "there is no build to compare with".to_owned(),
        Because::Asked { by } => format!("{} asked for a rebuild", clean::one_line(by, 80)),
        Because::Commit { to, .. } => format!("a new commit, {}", short_commit(to)),
        Because::Base { reference } => format!("{} moved", clean::one_line(reference, 120)),
        Because::Newer { from, to } => {
            let (from, to) = (clean::one_line(from, 128), clean::one_line(to, 128));
            format!("{to} is newer than {from}")
        }
        Because::Moved { tag } => format!("{} was pushed again", clean::one_line(tag, 128)),
        Because::Settings => "its build settings changed".to_owned(),
        Because::Unseen { why } => format!("its packages cannot be judged: {}", clean::one_line(why, 200)),
        Because::Pending { packages, security } => {
            let pending = counted(*packages, "package is pending", "packages are pending");
            match security {
                0 => pending,
                security => format!("{pending} ({security} for security)"),
            }
        }
        Because::Age { limit } => format!("the last build is older than {limit:#}"),
    };
    reasons.iter().map(reason).collect::<Vec<_>>().join("; ")
}

/// Fixes that no rebuild can bring: `2 security fixes need a new base image or another version pin`.
#[must_use]
pub fn unfixable(unfixable: &UnfixableUpdates) -> String {
    let mut parts = Vec::new();
    let packages = unfixable.packages.len();
    match unfixable.security {
        0 if packages == 0 => {}
        0 => parts.push(counted(packages, "upgrade needs", "upgrades need")),
        security => parts.push(counted(security, "security fix needs", "security fixes need")),
    }
    if let Some(part) = parts.first_mut() {
        part.push_str(" a new base image or another version pin");
    }
    if !unfixable.unavailable_pins.is_empty() {
        let gone: Vec<String> = unfixable
            .unavailable_pins
            .iter()
            .map(|(name, version)| format!("{name}={version}"))
            .collect();
        parts.push(format!(
            "no package repository has {} any more",
            clean::one_line(&gone.join(", "), 120)
        ));
    }
    parts.extend(
        unfixable
            .running
            .iter()
            .map(|(target, behind)| running(target, *behind)),
    );
    parts.join("; ")
}

/// `front is missing 3 security fixes`
#[must_use]
pub fn running(target: &TargetName, behind: Behind) -> String {
    let fixes = match behind.security {
        0 => counted(behind.packages, "upgrade", "upgrades"),
        security => counted(security, "security fix", "security fixes"),
    };
    format!("{target} is missing {fixes}")
}

/// What is pending before a build, a line each, for whoever watches the run.
#[must_use]
pub fn surveyed(survey: &Survey) -> Vec<String> {
    let pending = survey.pending.iter().map(|pending| {
        let installed = pending.installed.as_deref().unwrap_or("(none)");
        let security = if pending.security { ", security" } else { "" };
        let by = match &pending.fix {
            Fix::Rebuild | Fix::Perhaps { .. } => String::new(),
            Fix::Base { reference } => format!(", waits for {reference}"),
            Fix::Pin { version, line } => format!(", line {line} pins {version}"),
        };
        let (package, candidate) = (&pending.package, &pending.candidate);
        let line = format!(
            "pending: {package} {installed} → {candidate} ({}{security}{by})",
            pending.origin
        );
        clean::one_line(&line, DETAIL)
    });
    let unknown = survey.unknown.iter().map(|it| {
        let line = format!("not known: {}: {}", it.source, it.why);
        clean::one_line(&line, DETAIL)
    });
    let unseen = survey
        .unseen
        .iter()
        .map(|why| format!("not known: {}", clean::one_line(why, DETAIL)));
    pending.chain(unknown).chain(unseen).collect()
}

/// Why a run started.
#[must_use]
pub fn triggered(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Schedule { .. } => "its schedule".to_owned(),
        Trigger::ParentReleased { parent } => format!("a release of {}", clean::one_line(parent, 63)),
        Trigger::Manual { by, .. } => format!("manual, by {}", clean::one_line(by, 80)),
        Trigger::Retry { of } => format!("another try of run {of}"),
    }
}

/// How a run ended.
#[must_use]
pub fn concluded(conclusion: &Conclusion) -> String {
    match conclusion {
        Conclusion::Unchanged { why } => format!("unchanged: {}", skipped(why)),
        Conclusion::Retested { .. } => "the release passed its tests again: an image beside it had moved".to_owned(),
        Conclusion::Released { release } => format!("released {}", clean::one_line(&release.tag, 128)),
        Conclusion::Observed { release } => {
            format!("would release {} (observe mode)", clean::one_line(&release.tag, 128))
        }
        Conclusion::Failed { stage, failure } => format!("failed at {stage}: {}", failure.kind.words()),
        Conclusion::Cancelled { by } => format!("cancelled by {}", clean::one_line(by, 80)),
    }
}

/// How a rollout ended.
#[must_use]
pub fn rollout_concluded(conclusion: &RolloutConclusion) -> String {
    match conclusion {
        RolloutConclusion::Done => "done".to_owned(),
        RolloutConclusion::AlreadyThere => "nothing to do: it already ran".to_owned(),
        RolloutConclusion::Refused { failure } => format!("refused, the old one serves: {}", failure.kind.words()),
        RolloutConclusion::Superseded { .. } => "a newer release took its place".to_owned(),
        RolloutConclusion::Reverted { failure } => format!("rolled back: {}", failure.kind.words()),
        RolloutConclusion::Stuck { failure } => format!("stuck, needs attention: {}", failure.kind.words()),
    }
}

/// `2026-11-23 03:05 America/Moncton`; UTC when the zone is unknown.
#[must_use]
pub fn moment(at: Timestamp, zone: &str) -> String {
    let (tz, shown) = known_zone(zone);
    format!("{} {shown}", at.to_zoned(tz).strftime(MINUTES))
}

/// `2026-11-22 08:00 to 2026-11-23 08:00 (America/Moncton)`.
pub(super) fn from_to(from: Timestamp, to: Timestamp, zone: &str) -> String {
    let (tz, shown) = known_zone(zone);
    let local = |at: Timestamp| at.to_zoned(tz.clone()).strftime(MINUTES).to_string();
    format!("{} to {} ({shown})", local(from), local(to))
}

const MINUTES: &str = "%Y-%m-%d %H:%M";

fn known_zone(zone: &str) -> (TimeZone, &str) {
    TimeZone::get(zone).map_or((TimeZone::UTC, "UTC"), |tz| (tz, zone))
}

/// A span in its largest unit: `less than a minute`, `1 hour`, `3 days`.
#[must_use]
pub fn span(from: Timestamp, to: Timestamp) -> String {
    let minutes = usize::try_from(to.duration_since(from).as_secs() / 60).unwrap_or(0);
    match minutes {
        0 => "less than a minute".to_owned(),
        1..=59 => counted(minutes, "minute", "minutes"),
        60..=2879 => counted(minutes / 60, "hour", "hours"),
        2880.. => counted(minutes / 1440, "day", "days"),
    }
}

/// A length in its two largest units: `45 s`, `6 min 20 s`, `2 h 30 min`, `3 d`.
#[must_use]
pub fn lasting(length: SignedDuration) -> String {
    let secs = length.as_secs().max(0);
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let first = units.iter().position(|(size, _)| secs >= *size).unwrap_or(3);
    let mut rest = secs;
    let mut parts = Vec::new();
    for (size, unit) in units.iter().skip(first).take(2) {
        let count = rest / size;
        rest %= size;
        if count > 0 || parts.is_empty() && *size == 1 {
            parts.push(format!("{count} {unit}"));
        }
    }
    parts.join(" ")
}

/// A commit as people write it.
pub(super) fn short_commit(commit: &str) -> String {
    clean::one_line(commit, 40).chars().take(7).collect()
}

/// The first 12 hex digits.
pub(super) fn short_digest(digest: &str) -> String {
    let digest = clean::one_line(digest, 80);
    digest
        .strip_prefix("sha256:")
        .unwrap_or(&digest)
        .chars()
        .take(12)
        .collect()
}

/// The first letter large.
pub(super) fn sentence_start(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// With a full stop, unless it already ends.
fn ended(text: &str) -> String {
    if text.ends_with(['.', '!', '?', '…', ':']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

#[cfg(test)]
mod tests;
