//! Where a setting came from: the layers of an app, searched from the top.

use super::check::Check;
use super::diagnostic::{Problem, Route, Span, shown};
use super::quantity;
use super::raw::Text;
use jiff::SignedDuration;
use lowtide_model::defaults;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

use lowtide_model::name::AppName;

/// The layer that a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// No layer sets it: the built-in default.
    BuiltIn,
    /// The top level of the file.
    Fleet,
    Defaults,
    Profile(String),
    App,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::BuiltIn => f.write_str("default"),
            Origin::Fleet => f.write_str("fleet"),
            Origin::Defaults => f.write_str("defaults"),
            Origin::Profile(name) => write!(f, "profile {name}"),
            Origin::App => f.write_str("app"),
        }
    }
}

/// One setting in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// `build.timeout`, `rollout[0].window.from`.
    pub key: String,
    /// As configuration would write it.
    pub value: String,
    pub origin: Origin,
}

/// Per app, every setting in force and where it came from.
pub type Provenance = BTreeMap<AppName, Vec<Setting>>;

/// A part of the file together with the layers beneath it.
#[derive(Clone)]
pub(crate) struct Scope {
    /// From the top: the app, its profile, the defaults.
    layers: Vec<(Origin, Route)>,
    /// What is prepended to a key when it is shown as a setting: empty, or `rollout[0]`.
    shown_under: Route,
    /// Settings may be missing: this is a profile or the defaults, checked on their own.
    pub(crate) partial: bool,
}

impl Scope {
    pub(crate) fn new(layers: Vec<(Origin, Route)>) -> Self {
        Self {
            layers,
            shown_under: Route::default(),
            partial: false,
        }
    }
    pub(crate) fn partial(layers: Vec<(Origin, Route)>) -> Self {
        Self {
            partial: true,
            ..Self::new(layers)
        }
    }
    pub(crate) fn as_partial(&self) -> Self {
        Self {
            partial: true,
            ..self.clone()
        }
    }
    /// The same scope with one more place on top.
    pub(crate) fn under(&self, top: Route, shown_under: Route) -> Self {
        let mut layers = vec![(Origin::App, top)];
        layers.extend(self.layers.iter().cloned());
        Self {
            layers,
            shown_under,
            partial: self.partial,
        }
    }
    /// Where a setting of `key` is looked for when it may also stand beside `key` itself: `test.ready`, then `ready`.
    pub(crate) fn within(&self, key: &str) -> Self {
        let inside = self
            .layers
            .iter()
            .map(|(origin, route)| (origin.clone(), route.key(key)));
        let layers = inside.chain(self.layers.iter().cloned()).collect();
        Self {
            layers,
            shown_under: self.shown_under.key(key),
            partial: self.partial,
        }
    }
    /// Only the topmost place: what is not inherited.
    pub(crate) fn alone(&self) -> Self {
        Self {
            layers: self.layers.iter().take(1).cloned().collect(),
            ..self.clone()
        }
    }
    pub(crate) fn own(&self) -> Route {
        self.layers.first().map(|(_, route)| route.clone()).unwrap_or_default()
    }
}

impl Check<'_> {
    /// The layer that gives a setting, and its place.
    pub(crate) fn locate(&self, scope: &Scope, rest: &Route) -> Option<(Origin, Route, Span)> {
        scope.layers.iter().find_map(|(origin, base)| {
            let route = base.join(rest);
            self.tree.place(&route).map(|span| (origin.clone(), route, span))
        })
    }

    /// Is a problem with the setting already known, in any layer?
    pub(crate) fn is_touched(&self, scope: &Scope, rest: &Route) -> bool {
        scope.layers.iter().any(|(_, base)| self.is_broken(&base.join(rest)))
    }

    /// Reports a problem at the setting or, if no layer has it, at the nearest key around it that some layer has.
    pub(crate) fn report(&mut self, scope: &Scope, rest: &Route, problem: Problem) {
        let mut rest = rest.clone();
        while !rest.0.is_empty() {
            if let Some((_, route, span)) = self.locate(scope, &rest) {
                self.problems.push(problem.at(&route, span));
                return;
            }
            rest.0.pop();
        }
        let own = scope.own();
        let span = self.tree.key_place(&own).unwrap_or_default();
        self.problems.push(problem.at(&own, span));
    }

    /// Reports that a required setting is missing, unless it is there but already known to be wrong.
    pub(crate) fn missing(&mut self, scope: &Scope, rest: &Route, hint: &str) {
        if scope.partial || self.is_touched(scope, rest) {
            return;
        }
        // The message names the nearest key around it that some layer has, which may be a profile's.
        let around = (0..rest.0.len()).rev().find_map(|n| {
            let (inside, lacking) = (Route(rest.0[..n].to_vec()), Route(rest.0[n..].to_vec()));
            let (_, route, _) = self.locate(scope, &inside)?;
            Some((route, lacking))
        });
        let message = match around {
            Some((route, lacking)) if !route.0.is_empty() => format!("`{route}` has no `{lacking}`"),
            Some(_) | None => format!("`{}` is missing", scope.own().join(rest)),
        };
        self.report(scope, rest, Problem::new("missing-key", message).hint(hint));
    }

    /// Remembers a setting in force for `plan`.
    pub(crate) fn note(&mut self, scope: &Scope, rest: &Route, value: impl Into<String>) {
        if self.tracing && !scope.partial {
            let origin = self
                .locate(scope, rest)
                .map_or(Origin::BuiltIn, |(origin, _, _)| origin);
            let key = scope.shown_under.join(rest).to_string();
            self.settings.push(Setting {
                key,
                value: value.into(),
                origin,
            });
        }
    }

    pub(crate) fn duration(
        &mut self,
        scope: &Scope,
        key: &str,
        raw: Option<&Text>,
        default: SignedDuration,
    ) -> SignedDuration {
        self.duration_at(scope, &Route::keys(key), raw, default)
    }

    pub(crate) fn duration_at(
        &mut self,
        scope: &Scope,
        rest: &Route,
        raw: Option<&Text>,
        default: SignedDuration,
    ) -> SignedDuration {
        let value = match raw.map(|text| (text, quantity::duration(&text.0))) {
            None => default,
            Some((_, Ok(value))) => value,
            Some((text, Err(why))) => {
                let hint = if text.0.bytes().all(|b| b.is_ascii_digit()) && !text.0.is_empty() {
                    format!("write `{0}s`, `{0}m` or `{0}h`", text.0)
                } else {
                    "write it like `15m`, `1h30m`, `500ms` or `2d`".to_owned()
                };
                let message = format!("`{}` is not a duration: {why}", shown(&text.0));
                self.report(scope, rest, Problem::new("bad-duration", message).hint(hint));
                default
            }
        };
        self.note(scope, rest, quantity::duration_text(value));
        value
    }

    /// As [`Check::duration`], for limits that would stop everything when they are zero.
    pub(crate) fn limit(
        &mut self,
        scope: &Scope,
        key: &str,
        raw: Option<&Text>,
        default: SignedDuration,
    ) -> SignedDuration {
        self.limit_at(scope, &Route::keys(key), raw, default)
    }

    pub(crate) fn limit_at(
        &mut self,
        scope: &Scope,
        rest: &Route,
        raw: Option<&Text>,
        default: SignedDuration,
    ) -> SignedDuration {
        let value = self.duration_at(scope, rest, raw, default);
        if value.is_zero() {
            let problem = Problem::new("out-of-range", format!("`{rest}` must be longer than nothing"));
            self.report(
                scope,
                rest,
                problem.hint(format!("the default is {}", quantity::duration_text(default))),
            );
            return default;
        }
        value
    }

    pub(crate) fn size(&mut self, scope: &Scope, key: &str, raw: Option<&Text>, default: u64) -> u64 {
        let rest = Route::keys(key);
        let value = match raw.map(|text| (text, quantity::size(&text.0))) {
            None => default,
            Some((_, Ok(value))) => value,
            Some((text, Err(why))) => {
                let message = format!("`{}` is not a size: {why}", shown(&text.0));
                self.report(
                    scope,
                    &rest,
                    Problem::new("bad-size", message).hint("write it like `512MiB` or `2GiB`"),
                );
                default
            }
        };
        self.note(scope, &rest, quantity::size_text(value));
        value
    }

    pub(crate) fn timezone(&mut self, scope: &Scope, raw: Option<&Text>) -> String {
        let rest = Route::keys("timezone");
        let name = raw.map_or(defaults::TIMEZONE, |text| text.0.as_str()).to_owned();
        self.zone(scope, &rest, &name);
        self.note(scope, &rest, name.clone());
        name
    }

    pub(crate) fn zone(&mut self, scope: &Scope, rest: &Route, name: &str) {
        if jiff::tz::TimeZone::get(name).is_err() {
            let all: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
            let close = all
                .iter()
                .map(|zone| {
                    (
                        strsim::damerau_levenshtein(&zone.to_lowercase(), &name.to_lowercase()),
                        zone,
                    )
                })
                .filter(|(distance, _)| *distance <= 3)
                .min();
            let hint = close.map_or_else(
                || "zones are named as in `America/Moncton`, `Europe/Berlin`, `UTC`".to_owned(),
                |(_, zone)| format!("did you mean `{zone}`?"),
            );
            let message = format!("`{}` is not a time zone of the IANA database", shown(name));
            self.report(scope, rest, Problem::new("bad-timezone", message).hint(hint));
        }
    }
}
