//! Decides which local images and run directories to delete. All other retention is a cutoff time and a query.

use super::app_state::AppState;
use jiff::SignedDuration;
use lowtide_model::image::{ImageId, Reference};
use lowtide_model::name::{AppName, RunId};
use lowtide_model::release::Release;
use std::collections::{BTreeMap, BTreeSet};

/// A checkpoint is written after this many facts about an app, about a week's. Every start and command folds the facts since the last
/// checkpoint, so fewer facts make them faster.
const CHECKPOINT_AFTER: u64 = 24;

/// How long a fact about an app is retained after a checkpoint replaced it. Only people who look into a problem need it then.
pub const FACTS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How long inventories and package states are retained that no release in use refers to. A run stores them before its release is
/// recorded, so this is longer than any run takes.
pub const EVIDENCE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Whether to write a checkpoint. `facts`: the number of facts since the last one.
#[must_use]
pub fn wants_checkpoint(facts: u64) -> bool {
    facts >= CHECKPOINT_AFTER
}

/// An image of ours in an engine's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    pub id: ImageId,
    pub app: AppName,
    pub run: RunId,
    /// Seconds since 1970.
    pub created: i64,
}

/// An image of others that was pulled for an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledImage {
    pub app: AppName,
    pub id: ImageId,
    /// By which the engine has it for lowtide.
    pub names: Vec<String>,
}

/// A run's directory of logs and artefacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDirectory {
    pub run: RunId,
    pub bytes: u64,
}

/// Releases whose image and evidence an app needs whatever their age: its current release and the one before, what its
/// targets run and where they go back to, and what an open rollout brings.
#[must_use]
pub fn needed(app_state: &AppState) -> Vec<&Release> {
    let current = app_state.current().map(|release| release.run);
    let before = app_state
        .releases
        .iter()
        .rev()
        .map(|release| release.run)
        .find(|run| Some(*run) != current);
    let targets = app_state.targets.values().flat_map(|t| {
        [
            t.current,
            t.previous,
            t.open.map(|(_, run)| run),
            t.last.as_ref().map(|(run, _)| *run),
        ]
    });
    let channels = app_state.channels.values().flat_map(|c| [c.current, c.previous]);
    let runs: BTreeSet<RunId> = [current, before]
        .into_iter()
        .chain(targets)
        .chain(channels)
        .flatten()
        .collect();
    let releases = app_state.releases.iter().chain(adopted(app_state));
    releases.filter(|release| runs.contains(&release.run)).collect()
}

fn adopted(app_state: &AppState) -> impl Iterator<Item = &Release> {
    app_state
        .targets
        .values()
        .filter_map(|target| target.adopted.as_deref())
}

/// Tags that retained images not built by lowtide and are no longer needed: no target runs the image or would roll back
/// to it. While any rollout is open all tags stay, because its outcome decides which are needed.
#[must_use]
pub fn adopted_tags<'a>(found: &'a [String], app_states: &[&AppState]) -> Vec<&'a str> {
    if app_states
        .iter()
        .flat_map(|app_state| app_state.targets.values())
        .any(|target| target.open.is_some())
    {
        return Vec::new();
    }
    let needed: Vec<&Release> = app_states.iter().flat_map(|app_state| needed(app_state)).collect();
    let is_needed = |tag: &str| {
        let named = tag.parse::<Reference>();
        named.is_ok_and(|named| needed.iter().any(|release| release.reference == named))
    };
    found.iter().map(String::as_str).filter(|tag| !is_needed(tag)).collect()
}

/// Images to remove: per app, all unused images except the `retained` newest. `in_use`: needed, or used by a container,
/// running or not. Images of open runs stay, and so do images of unknown runs: they belong to another lowtide.
#[must_use]
pub fn images(
    found: &[LocalImage],
    in_use: &BTreeSet<ImageId>,
    ended: &BTreeSet<RunId>,
    retained: usize,
) -> Vec<ImageId> {
    let mut spare: BTreeMap<&AppName, Vec<&LocalImage>> = BTreeMap::new();
    for image in found {
        if ended.contains(&image.run) && !in_use.contains(&image.id) {
            spare.entry(&image.app).or_default().push(image);
        }
    }
    let mut gone = Vec::new();
    for images in spare.values_mut() {
        images.sort_by(|a, b| (b.created, b.run, &b.id).cmp(&(a.created, a.run, &a.id)));
        gone.extend(images.iter().skip(retained).map(|image| image.id.clone()));
    }
    gone
}

/// Whether a pulled image can go: no release needs it, no container uses it and no run of its app is open (`busy`). It can be pulled again
/// by its digest, so none is retained for later.
#[must_use]
pub fn is_spare(
    image: &PulledImage,
    app_state: &AppState,
    in_use: &BTreeSet<ImageId>,
    busy: &BTreeSet<AppName>,
) -> bool {
    let is_needed = needed(app_state).iter().any(|release| release.images.has(&image.id));
    !(is_needed || in_use.contains(&image.id) || busy.contains(&image.app))
}

/// Run directories to remove: those of forgotten runs, then the oldest until all together are within `bound` bytes. Open
/// runs retain theirs and count.
#[must_use]
pub fn directories(found: &[RunDirectory], open: &BTreeSet<RunId>, ended: &BTreeSet<RunId>, bound: u64) -> Vec<RunId> {
    let mut oldest_first: Vec<&RunDirectory> = found.iter().collect();
    // An id begins with its time.
    oldest_first.sort_by_key(|directory| directory.run);
    let mut left: u64 = found.iter().map(|directory| directory.bytes).sum();
    let mut gone = Vec::new();
    let (known, forgotten): (Vec<_>, Vec<_>) = oldest_first
        .into_iter()
        .filter(|directory| !open.contains(&directory.run))
        .partition(|directory| ended.contains(&directory.run));
    for directory in forgotten {
        left -= directory.bytes;
        gone.push(directory.run);
    }
    for directory in known {
        if left <= bound {
            break;
        }
        left -= directory.bytes;
        gone.push(directory.run);
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::app_state::TargetState;
    use lowtide_model::release::Images;

    fn id(n: u8) -> ImageId {
        format!("sha256:{n:064x}").parse().unwrap()
    }

    fn run(n: u8) -> RunId {
        format!("01JDCS4Z00ABCDEFGHJKMN{n:04}").parse().unwrap()
    }

    fn image(n: u8, app: &str) -> LocalImage {
        LocalImage {
            id: id(n),
            app: app.parse().unwrap(),
            run: run(n),
            created: i64::from(n),
        }
    }

    fn runs(range: std::ops::RangeInclusive<u8>) -> BTreeSet<RunId> {
        range.map(run).collect()
    }

    #[test]
    fn images_beyond_the_bound_go_oldest_first() {
        let found: Vec<_> = (1..=6).map(|n| image(n, "web")).chain([image(7, "shop")]).collect();
        let none = BTreeSet::new();
        type Row<'a> = (&'a str, BTreeSet<ImageId>, BTreeSet<RunId>, usize, &'a [u8]);
        let table: [Row<'_>; 6] = [
            ("keeps the newest", none.clone(), runs(1..=7), 3, &[3, 2, 1]),
            (
                "kept images do not use up the bound",
                [id(6), id(1)].into(),
                runs(1..=7),
                3,
                &[2],
            ),
            ("an open run's image stays", none.clone(), runs(1..=5), 3, &[2, 1]),
            ("another lowtide's stay", none.clone(), runs(7..=7), 0, &[7]),
            ("all are needed", (1..=7).map(id).collect(), runs(1..=7), 0, &[]),
            ("nothing to keep", none, runs(1..=7), 0, &[7, 6, 5, 4, 3, 2, 1]),
        ];
        for (name, in_use, ended, retained, gone) in table {
            let gone: Vec<_> = gone.iter().map(|n| id(*n)).collect();
            assert_eq!(images(&found, &in_use, &ended, retained), gone, "{name}");
        }
    }

    #[test]
    fn a_pulled_image_goes_once_nothing_needs_it() {
        let pulled = PulledImage {
            app: "web".parse().unwrap(),
            id: id(1),
            names: vec!["lowtide/web:t".to_owned()],
        };
        let mut app_state = AppState::default();
        let none = BTreeSet::new();
        assert!(is_spare(&pulled, &app_state, &BTreeSet::new(), &none));
        assert!(
            !is_spare(&pulled, &app_state, &[id(1)].into(), &none),
            "a container has it"
        );
        let busy = [pulled.app.clone()].into();
        assert!(!is_spare(&pulled, &app_state, &BTreeSet::new(), &busy), "a run is open");
        let mut release = crate::decide::app_state::tests::release(1);
        release.images = lowtide_model::release::Images::one(id(1), id(1).to_string().parse().unwrap());
        app_state.releases.push(release);
        app_state.last_release = app_state.releases.first().map(|release| release.run);
        assert!(
            !is_spare(&pulled, &app_state, &BTreeSet::new(), &none),
            "it is the last release"
        );
    }

    #[test]
    fn directories_go_when_forgotten_and_when_over_the_bound() {
        let found: Vec<_> = [3, 1, 2, 4].map(|n| RunDirectory { run: run(n), bytes: 10 }).to_vec();
        type Row<'a> = (&'a str, &'a [u8], std::ops::RangeInclusive<u8>, u64, &'a [u8]);
        let table: [Row<'_>; 5] = [
            ("within", &[], 1..=4, 40, &[]),
            ("the oldest first", &[], 1..=4, 25, &[1, 2]),
            ("an open one stays and counts", &[1], 2..=4, 25, &[2, 3]),
            ("forgotten ones go in any case", &[], 2..=4, 40, &[1]),
            ("open ones stay over any bound", &[1, 2, 3, 4], 5..=5, 0, &[]),
        ];
        for (name, open, ended, bound, gone) in table {
            let open: BTreeSet<RunId> = open.iter().map(|n| run(*n)).collect();
            let gone: Vec<_> = gone.iter().map(|n| run(*n)).collect();
            assert_eq!(directories(&found, &open, &runs(ended), bound), gone, "{name}");
        }
    }

    #[test]
    fn the_way_back_is_needed_however_old() {
        let mut app_state = AppState::default();
        for n in 1..=6 {
            let reference: Reference = format!("registry.example.org/web:{n}").parse().unwrap();
            app_state.releases.push(Release {
                upstream: None,
                run: run(n),
                images: Images::one(id(n), format!("sha256:{n:064x}").parse().unwrap()),
                commit: Some("c".into()),
                tag: n.to_string(),
                digest: None,
                reference,
                change: None,
                sidecars: BTreeMap::new(),
                at: jiff::Timestamp::UNIX_EPOCH,
            });
        }
        let needed = |app_state: &AppState| -> Vec<ImageId> {
            needed(app_state)
                .iter()
                .map(|r| r.images.first().image.clone())
                .collect()
        };
        assert_eq!(needed(&app_state), [id(5), id(6)]);
        let target = TargetState {
            current: Some(run(3)),
            previous: Some(run(1)),
            ..TargetState::default()
        };
        app_state.targets.insert("front".parse().unwrap(), target);
        assert_eq!(needed(&app_state), [id(1), id(3), id(5), id(6)]);
        // What was there before the first of them is, as long as it is the way back.
        let own = Release {
            run: run(0),
            images: Images::one(id(9), id(9).to_string().parse().unwrap()),
            reference: "lowtide/adopted:99".parse().unwrap(),
            ..app_state.releases[0].clone()
        };
        let front = app_state.targets.get_mut(&"front".parse().unwrap()).unwrap();
        front.adopted = Some(Box::new(own));
        let found = ["lowtide/adopted:99".to_owned(), "lowtide/adopted:98".to_owned()];
        assert!(!needed(&app_state).contains(&id(9)));
        assert_eq!(adopted_tags(&found, &[&app_state]).len(), 2);
        let front = app_state.targets.get_mut(&"front".parse().unwrap()).unwrap();
        (front.current, front.previous) = (Some(run(1)), Some(run(0)));
        assert!(needed(&app_state).contains(&id(9)));
        assert_eq!(adopted_tags(&found, &[&app_state]), ["lowtide/adopted:98"]);
        let front = app_state.targets.get_mut(&"front".parse().unwrap()).unwrap();
        front.open = Some((lowtide_model::name::RolloutId(run(8).0), run(2)));
        assert_eq!(adopted_tags(&found, &[&app_state]), [""; 0]);
        // A quarantined newest release is not the current one; the one before is.
        app_state
            .quarantine
            .push(app_state.releases[5].images.first().content.clone());
        assert!(needed(&app_state).contains(&id(5)));
    }
}
