//! What the repository's own file sets is in force as soon as the commit is resolved, also after a kill.

use super::*;
use lowtide_model::policy::OwnSettings;

#[test]
fn the_file_of_the_commit_counts_from_then_on() {
    let app = app(Mode::Active, true, true);
    let mut trial = Trial::new(app.clone());
    trial.finish();
    let mut own = OwnSettings {
        build: app.build().unwrap().clone(),
        env: app.env.clone(),
        tests: vec![app.tests[0].clone(), app.tests[0].clone()],
        ready: app.ready.clone(),
    };
    own.build.target = Some("runtime".to_owned());
    let resolved = trial.events.iter().position(|recorded| {
        let RunEvent::EffectEnded { outcome } = &recorded.event else {
            return false;
        };
        matches!(outcome, Outcome::Resolved(_))
    });
    let resolved = resolved.unwrap();
    if let RunEvent::EffectEnded {
        outcome: Outcome::Resolved(resolved),
    } = &mut trial.events[resolved].event
        && let ResolvedOrigin::Repository(repository) = &mut resolved.origin
    {
        repository.own = Some(Box::new(own.clone()));
    }
    let id = RunId(ulid::Ulid(1));
    let before = fold(id, &trial.events[..resolved]).unwrap();
    assert_eq!(before.app, app);
    let after = fold(id, &trial.events[..=resolved]).unwrap();
    assert_eq!(after.app, app.with(own));
    assert_eq!(after.app.build().unwrap().target.as_deref(), Some("runtime"));
}
