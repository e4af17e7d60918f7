//! An app whose image others build: `source: { image, tags, min_age, host }`.

use super::raw;
use crate::fleet::tags::{BadTags, Tags};
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::scope::Scope;
use jiff::SignedDuration;
use lowtide_model::image::{Reference, Repository};
use lowtide_model::policy::{FollowPolicy, StepAction, TestPolicy, TestSetup};

/// Keys of `source` that are about a repository.
const OF_A_REPOSITORY: &[&str] = &[
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
    /// Do others build the image? True also where `image` is there and wrong: then the app does not lack a `repo`.
    pub(super) fn is_followed(&self, scope: &Scope, raw: &raw::App) -> bool {
        let source = raw.source.clone().unwrap_or_default();
        let is_broken = || source.repo.is_none() && self.is_touched(scope, &Route::keys("source.image"));
        source.image.is_some() || is_broken()
    }

    /// `None`: the app is built from a repository, or its image cannot be read.
    pub(super) fn followed(&mut self, scope: &Scope, raw: &raw::App) -> Option<FollowPolicy> {
        let source = raw.source.clone().unwrap_or_default();
        let at = |key: &str| Route::keys("source").key(key);
        let Some(image) = &source.image else {
            self.nothing_is_followed(scope, &source);
            return None;
        };
        if source.repo.is_some() {
            // Which of the two is meant is not known, so nothing is said of the keys beside them.
            self.exclusive(scope, &at("repo"), &at("image"));
        } else {
            self.nothing_is_built(scope);
        }
        self.note(scope, &at("image"), image.0.clone());
        let repository = self.followed_image(scope, &at("image"), &image.0);
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
                    self.bad_tags(scope, &at("tags"), &error);
                }
            }
        }
        let min_age = self.duration(scope, "source.min_age", source.min_age.as_ref(), SignedDuration::ZERO);
        let host = self.host(scope, &at("host"), source.host.as_ref());
        Some(FollowPolicy {
            image: repository?,
            tags: tags.unwrap_or_default(),
            min_age,
            host,
        })
    }

    /// An app with `source.image` has no repository: nothing in its tests can come from one.
    pub(super) fn tests_alone(&mut self, scope: &Scope, tests: &[TestPolicy]) {
        for test in tests {
            if let TestSetup::Compose(_) = test.how {
                let at = Route::keys("test.compose");
                let hint = "describe the containers beside the image in `test.sidecars`";
                return self.needs_repository(scope, &at, "`test.compose` reads files of a repository", hint);
            }
            for (place, step) in test.steps.iter().enumerate() {
                if let StepAction::CopyIn { .. } = step.action {
                    let at = Route::keys("test.steps").index(place).key("copy");
                    let hint = "write the file in an `exec` step; `copy` out of a container is possible";
                    let what = "a `copy` into a container takes a file of a repository";
                    self.needs_repository(scope, &at, what, hint);
                }
            }
        }
    }

    fn needs_repository(&mut self, scope: &Scope, at: &Route, what: &str, hint: &str) {
        let problem = Problem::new(CODE, format!("{what}, and an app with `source.image` has none"));
        self.report_with_image(scope, at, problem.hint(hint));
    }

    /// Shows the image too: what does not fit it may be a profile's.
    pub(super) fn report_with_image(&mut self, scope: &Scope, at: &Route, problem: Problem) {
        let image = self.locate(scope, &Route::keys("source.image"));
        let (Some((_, route, span)), Some((_, image, image_span))) = (self.locate(scope, at), image) else {
            return self.report(scope, at, problem);
        };
        let image_span = self.tree.key_place(&image).unwrap_or(image_span);
        let problem = problem.at(&route, span);
        self.problems
            .push(problem.also("others build this image", &image, image_span));
    }

    /// Keys for followed images on an app without one.
    fn nothing_is_followed(&mut self, scope: &Scope, source: &raw::Source) {
        // In the defaults and in a profile they are for the apps that follow an image.
        if source.repo.is_none() {
            return;
        }
        let given = [
            (
                "tags",
                source.tags.is_some(),
                "for a tag of git write `tag`; to follow an image write `image` in the place of `repo`",
            ),
            (
                "min_age",
                source.min_age.is_some(),
                "take it out, or write `image` in the place of `repo`",
            ),
            (
                "host",
                source.host.is_some(),
                "the host that builds and tests is `build.host`",
            ),
        ];
        let own = scope.alone();
        for (key, _, hint) in given.into_iter().filter(|(_, given, _)| *given) {
            let at = Route::keys("source").key(key);
            if self.locate(&own, &at).is_some() {
                let problem = Problem::new(CODE, format!("`{at}` is for images that others build"));
                self.report(scope, &at, problem.hint(hint));
            }
        }
    }

    fn nothing_is_built(&mut self, scope: &Scope) {
        let own = scope.alone();
        let of_source = OF_A_REPOSITORY.iter().map(|key| (*key, Route::keys("source").key(key)));
        let others = ["build", "repository_file"].map(|key| (key, Route::keys(key)));
        let given: Vec<(&str, Route)> = of_source
            .chain(others)
            .filter(|(_, route)| self.locate(&own, route).is_some())
            .collect();
        for (key, route) in given {
            let problem = Problem::new(CODE, format!("`{route}` is for images that lowtide builds"));
            let hint = match key {
                "tag" => "`tags` says which tags of the image are taken",
                "username" | "token" => "the credential for a registry stands under `registries`",
                "build" => "take it out; the host that tests the image is `source.host`",
                _ => "take it out: others build the image in `source.image`",
            };
            self.report(scope, &route, problem.hint(hint));
        }
    }

    fn followed_image(&mut self, scope: &Scope, at: &Route, text: &str) -> Option<Repository> {
        match text.parse::<Repository>() {
            Err(why) if text.parse::<Reference>().is_ok() => {
                let message = format!("`{}` is not an image repository: {}", shown(text), why.why);
                let problem = Problem::new("bad-image", message);
                self.report(scope, at, problem.hint("take it off: `tags` says which tags are taken"));
                None
            }
            Ok(_) | Err(_) => self.repository(scope, at, text),
        }
    }

    fn bad_tags(&mut self, scope: &Scope, at: &Route, error: &BadTags) {
        let problem = Problem::new("bad-tag", format!("`{at}` is not a rule of tags: {}", readable(error)));
        let hint = match error {
            BadTags::NoGroup => "put what orders the tags into parentheses: `/^v(\\d+)-lts$/`",
            BadTags::NoRegex { .. } => "the syntax is that of the Rust `regex` crate; put it in single quotes",
            BadTags::NoRange => "the lower bound comes first: `>=16.2 <17`",
            BadTags::Shapes(..) => "keep one of them, or write a regular expression: `/^(1[67])\\.(\\d+)$/`",
            BadTags::Empty
            | BadTags::NoTag(_)
            | BadTags::Stars(_)
            | BadTags::CutNumber(_)
            | BadTags::NoBound(_)
            | BadTags::NoVersion(_) => {
                "write `16.*`, `16.*-alpine`, `>=16.2 <17`, `latest` or `/^v(\\d+)-lts$/`, in quotes"
            }
        };
        self.report(scope, at, problem.hint(hint));
    }
}

/// With texts of the configuration as a terminal can show them.
fn readable(error: &BadTags) -> BadTags {
    match error {
        BadTags::NoTag(text) => BadTags::NoTag(shown(text)),
        BadTags::Stars(text) => BadTags::Stars(shown(text)),
        BadTags::CutNumber(text) => BadTags::CutNumber(shown(text)),
        BadTags::NoVersion(text) => BadTags::NoVersion(shown(text)),
        BadTags::NoBound(text) => BadTags::NoBound(shown(text)),
        BadTags::Shapes(one, other) => BadTags::Shapes(shown(one), shown(other)),
        BadTags::NoRegex { text, why } => BadTags::NoRegex {
            text: shown(text),
            why: shown(why),
        },
        BadTags::Empty | BadTags::NoRange | BadTags::NoGroup => error.clone(),
    }
}
