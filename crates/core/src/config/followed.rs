//! An app whose image others build: `source: { image, tags, min_age, host }`.

use super::raw;
use crate::decide::follow::tags::{BadTags, Tags};
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::scope::Scope;
use jiff::SignedDuration;
use lowtide_model::policy::{FollowPolicy, StepAction, TestPolicy, TestSetup};

/// Keys of `source` that are about a repository.
const OF_A_REPOSITORY: &[&str] = &[
    "repo",
    "branch",
    "tag",
    "commit",
    "context",
    "dockerfile",
    "submodules",
    "username",
    "token",
    "ssh_key",
    "timeout",
    "max_size",
];
const CODE: &str = "not-for-followed";

impl Check<'_> {
    /// `None`: the app is built from a repository.
    pub(super) fn followed(&mut self, scope: &Scope, raw: &raw::App) -> Option<FollowPolicy> {
        let source = raw.source.clone().unwrap_or_default();
        let at = |key: &str| Route::keys("source").key(key);
        let Some(image) = &source.image else {
            let given = [
                ("tags", source.tags.is_some()),
                ("min_age", source.min_age.is_some()),
                ("host", source.host.is_some()),
            ];
            // In the defaults they are for the apps that follow an image.
            let own = scope.alone();
            for (key, _) in given.into_iter().filter(|(_, given)| *given) {
                if self.locate(&own, &at(key)).is_some() {
                    let problem = Problem::new(CODE, format!("`source.{key}` is for images that others build"));
                    self.report(
                        scope,
                        &at(key),
                        problem.hint("name one: `source: { image: postgres, tags: \"16.*\" }`"),
                    );
                }
            }
            return None;
        };
        self.nothing_is_built(scope);
        self.note(scope, &at("image"), image.0.clone());
        let repository = self.repository(scope, &at("image"), &image.0);
        let tags = source.tags.as_ref().map(|text| text.0.trim().to_owned());
        match &tags {
            None => self.missing(
                scope,
                &at("tags"),
                "write `tags: \"16.*\"`, or one tag to follow: `tags: latest`",
            ),
            Some(tags) => {
                self.note(scope, &at("tags"), tags.clone());
                if let Err(error) = Tags::parse(tags) {
                    self.bad_tags(scope, &at("tags"), tags, &error);
                }
            }
        }
        let min_age = self.duration(scope, "source.min_age", source.min_age.as_ref(), SignedDuration::ZERO);
        Some(FollowPolicy {
            image: repository?,
            tags: tags.unwrap_or_default(),
            min_age,
            host: self.host(scope, &at("host"), source.host.as_ref()),
        })
    }

    /// A followed image has no repository of ours: nothing in its tests can come from one.
    pub(super) fn tests_alone(&mut self, scope: &Scope, tests: &[TestPolicy]) {
        let needs = "needs a repository, and a followed image has none";
        for test in tests {
            if let TestSetup::Compose(_) = test.how {
                let problem = Problem::new(CODE, format!("`test.compose` {needs}"));
                let hint = "write the containers beside it as `test.sidecars`";
                return self.report(scope, &Route::keys("test.compose"), problem.hint(hint));
            }
            for (place, step) in test.steps.iter().enumerate() {
                if let StepAction::CopyIn { .. } = step.action {
                    let problem = Problem::new(CODE, format!("a `copy` into the container {needs}"));
                    self.report(scope, &Route::keys("test.steps").index(place), problem);
                }
            }
        }
    }

    fn nothing_is_built(&mut self, scope: &Scope) {
        let own = scope.alone();
        let of_source = OF_A_REPOSITORY.iter().map(|key| Route::keys("source").key(key));
        let others = [Route::keys("build"), Route::keys("repository_file")];
        let given: Vec<Route> = of_source
            .chain(others)
            .filter(|route| self.locate(&own, route).is_some())
            .collect();
        for route in given {
            let problem = Problem::new(CODE, format!("`{route}` is for images that lowtide builds"));
            self.report(
                scope,
                &route,
                problem.hint("take it out: `source.image` is built by others"),
            );
        }
    }

    fn bad_tags(&mut self, scope: &Scope, at: &Route, tags: &str, error: &BadTags) {
        let problem = Problem::new("bad-tag", format!("`{}` is no rule of tags: {error}", shown(tags)));
        let hint = "write `16.*`, `16.*-alpine`, `>=16.2 <17`, `latest` or `/^v(\\d+)-lts$/`";
        self.report(scope, at, problem.hint(hint));
    }
}
