//! Where a tested image goes: repository, tag template, channels.

use super::raw;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::scope::Scope;
use lowtide_model::defaults;
use lowtide_model::image::{Repository, is_tag};
use lowtide_model::name::ChannelName;
use lowtide_model::policy::{Channel, PublishPolicy};

/// A tag template's default, and its variables, each with a value of the longest usual kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Template {
    default: &'static str,
    variables: &'static [(&'static str, &'static str)],
    /// Variables of the other kind of image.
    foreign: &'static [&'static str],
    /// What the tag is of.
    of: &'static str,
    /// One of them makes the tag another one for each image.
    unique: &'static [&'static str],
    why: &'static str,
}

const BUILT: Template = Template {
    default: defaults::TAG,
    variables: &[
        ("date", "20260101"),
        ("run", "01234567"),
        ("commit", "0123456789ab"),
        ("branch", "main"),
        ("app", "app"),
    ],
    foreign: &["tag", "digest"],
    of: " of an image that lowtide builds",
    unique: &["{run}"],
    why: "put `{run}` into it: one commit is built on many nights, and a tag is never moved",
};

const FOLLOWED: Template = Template {
    default: defaults::FOLLOWED_TAG,
    variables: &[
        ("date", "20260101"),
        ("run", "01234567"),
        ("tag", "16.4-alpine3.20"),
        ("digest", "0123456789ab"),
        ("app", "app"),
    ],
    foreign: &["commit", "branch"],
    of: " of an image that others build",
    unique: &["{run}", "{digest}"],
    why: "put `{digest}` into it: the tag of others may move, and ours never does",
};

/// Of a profile or the defaults, which may be for both.
const EITHER: Template = Template {
    default: defaults::TAG,
    variables: &[
        ("date", "20260101"),
        ("run", "01234567"),
        ("commit", "0123456789ab"),
        ("branch", "main"),
        ("tag", "16.4-alpine3.20"),
        ("digest", "0123456789ab"),
        ("app", "app"),
    ],
    foreign: &[],
    of: "",
    unique: &["{run}", "{digest}"],
    why: "put `{run}` into it, or `{digest}` for images that others build: a tag is never moved",
};

impl Template {
    pub(super) fn of(scope: &Scope, raw: &raw::App, is_followed: bool) -> Self {
        let source = raw.source.as_ref();
        if is_followed {
            FOLLOWED
        } else if scope.partial && source.is_none_or(|source| source.repo.is_none()) {
            EITHER
        } else {
            BUILT
        }
    }
}

impl Check<'_> {
    pub(super) fn publish(&mut self, scope: &Scope, raw: Option<&raw::Publish>, of: Template) -> Option<PublishPolicy> {
        let raw = raw?;
        let at = |key: &str| Route::keys("publish").key(key);
        let tag = raw.tag.as_ref().map_or(of.default, |text| text.0.as_str()).to_owned();
        self.template(scope, &at("tag"), &tag, of);
        let Some(text) = &raw.image else {
            // Settings of the defaults alone (a tag template, say) do not publish an app that names no repository.
            let own = scope.own().key("publish");
            if self.tree.get(&own).is_some() {
                self.missing(scope, &at("image"), "write `publish: { image: ghcr.io/owner/name }`");
            }
            return None;
        };
        let image = self.repository(scope, &at("image"), &text.0);
        self.note(scope, &at("image"), text.0.clone());
        self.note(scope, &at("tag"), tag.clone());
        let channels = self.channels(scope, raw.channels.as_deref(), image.as_ref());
        Some(PublishPolicy {
            image: image?,
            tag,
            channels,
        })
    }

    fn template(&mut self, scope: &Scope, rest: &Route, template: &str, of: Template) {
        let names: Vec<&str> = of.variables.iter().map(|(name, _)| *name).collect();
        let mut filled = String::new();
        let mut tail = template;
        while let Some((before, after)) = tail.split_once('{') {
            let (name, next) = after.split_once('}').unwrap_or((after, ""));
            filled.push_str(before);
            match of.variables.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => filled.push_str(value),
                None => {
                    let is_foreign = of.foreign.contains(&name);
                    let kind = if is_foreign { of.of } else { "" };
                    let problem = Problem::new(
                        "bad-tag",
                        format!("`{{{}}}` is not a variable of the tag{kind}", shown(name)),
                    );
                    let close = crate::yaml::words::closest(name, names.iter().copied());
                    let hint = close.map_or_else(
                        || {
                            let names: Vec<String> = names.iter().map(|name| format!("{{{name}}}")).collect();
                            let names: Vec<&str> = names.iter().map(String::as_str).collect();
                            format!("the variables are {}", crate::yaml::words::list(&names))
                        },
                        |close| format!("did you mean `{{{close}}}`?"),
                    );
                    let is_own = self.locate(&scope.alone(), rest).is_some();
                    return if is_foreign && !is_own {
                        let hint = format!("{hint}; an app can have a `publish.tag` of its own");
                        self.report_with_image(scope, rest, problem.hint(hint))
                    } else {
                        self.report(scope, rest, problem.hint(hint))
                    };
                }
            }
            tail = next;
        }
        filled.push_str(tail);
        if template == "latest" {
            let hint = format!("leave `tag` out, or write a template such as `{}`", of.default);
            return self.latest(scope, rest, &hint);
        }
        if !of.unique.iter().any(|unique| template.contains(unique)) {
            let problem = Problem::new(
                "bad-tag",
                format!("the tag `{}` would be the same for two runs", shown(template)),
            );
            return self.report(scope, rest, problem.hint(of.why));
        }
        if !is_tag(&filled) {
            let problem = Problem::new("bad-tag", format!("`{}` does not make a tag", shown(template)));
            self.report(
                scope,
                rest,
                problem.hint(
                    "a tag is 1 to 128 letters, digits, `_`, `.` and `-`, and begins with a letter, digit or `_`",
                ),
            );
        }
    }

    fn channels(&mut self, scope: &Scope, raw: Option<&[raw::Channel]>, image: Option<&Repository>) -> Vec<Channel> {
        let base = Route::keys("publish.channels");
        let Some(raw) = raw else {
            self.note(scope, &base, defaults::CHANNEL);
            let name: Option<ChannelName> = defaults::CHANNEL.parse().ok();
            let channel = name.zip(image).map(|(name, image)| Channel {
                name,
                image: image.clone(),
                pull: None,
                tag: defaults::CHANNEL.to_owned(),
            });
            return channel.into_iter().collect();
        };
        if raw.is_empty() {
            let problem = Problem::new("empty-list", "`publish.channels` holds no channel");
            self.report(
                scope,
                &base,
                problem.hint(format!("take the key out for a single channel `{}`", defaults::CHANNEL)),
            );
        }
        let mut channels: Vec<(usize, Channel)> = Vec::new();
        for (n, raw) in raw.iter().enumerate() {
            let here = base.index(n);
            let Some(name_text) = &raw.name else {
                self.missing(scope, &here.key("name"), "write `- name: production`");
                continue;
            };
            let name = self.name::<ChannelName>(scope, &here.key("name"), &name_text.0);
            let own = raw
                .image
                .as_ref()
                .map(|text| self.repository(scope, &here.key("image"), &text.0));
            let pull = raw.pull.as_ref();
            let pull = pull.and_then(|text| self.repository(scope, &here.key("pull"), &text.0));
            let tag = raw.tag.as_ref().unwrap_or(name_text).0.clone();
            self.moving_tag(scope, &here.key(if raw.tag.is_some() { "tag" } else { "name" }), &tag);
            self.note(scope, &here.key("name"), name_text.0.clone());
            let (Some(name), Some(image)) = (name, own.unwrap_or_else(|| image.cloned())) else {
                continue;
            };
            let same = |c: &Channel| c.name == name || (c.image == image && c.tag == tag);
            if let Some((first, channel)) = channels.iter().find(|(_, c)| same(c)) {
                let message = if channel.name == name {
                    format!("two channels are named `{name}`")
                } else {
                    format!("two channels are the same place, `{image}:{tag}`")
                };
                self.twice(
                    scope,
                    Problem::new("duplicate-channel", message),
                    &base.index(*first),
                    &here,
                );
            }
            channels.push((n, Channel { name, image, pull, tag }));
        }
        channels.into_iter().map(|(_, channel)| channel).collect()
    }

    /// Checks a channel's moving tag, which is its name if no tag is given.
    fn moving_tag(&mut self, scope: &Scope, place: &Route, tag: &str) {
        if tag == "latest" {
            let hint = "name the channel for what stands behind it, such as `production`; every app would pull \
                        `latest` unasked";
            self.latest(scope, place, hint);
        } else if !is_tag(tag) {
            let problem = Problem::new("bad-tag", format!("`{}` is not a tag", shown(tag)));
            let hint = "a channel's tag is a plain word that moves from release to release";
            self.report(scope, place, problem.hint(hint));
        }
    }

    fn latest(&mut self, scope: &Scope, rest: &Route, hint: &str) {
        let message = "`latest` says nothing about what it holds, and is never published or rolled out";
        self.report(scope, rest, Problem::new("latest", message).hint(hint));
    }

    /// A problem of two places in one scope, reported at the second.
    pub(super) fn twice(&mut self, scope: &Scope, problem: Problem, first: &Route, second: &Route) {
        let place = |check: &Self, rest: &Route| {
            check
                .locate(scope, &rest.key("name"))
                .or_else(|| check.locate(scope, rest))
        };
        if let (Some((_, a, a_span)), Some((_, b, b_span))) = (place(self, first), place(self, second)) {
            self.problems
                .push(problem.at(&b, b_span).also("first here", &a, a_span));
        }
    }
}
