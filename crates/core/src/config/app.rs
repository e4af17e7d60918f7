//! One app: its own settings over its profile's over the defaults.

use super::merge::Over;
use super::publish::Template;
use super::raw;
use crate::fleet::app::App;
use crate::yaml::check::{Check, unknown};
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::quantity;
use crate::yaml::raw::Secret;
use crate::yaml::ready::strings;
use crate::yaml::scope::{Origin, Scope};
use croner::parser::{CronParser, Seconds, Year};
use lowtide_model::defaults;
use lowtide_model::github::{is_github_repo, repo_on};
use lowtide_model::name::AppName;
use lowtide_model::policy::{BuildLimits, BuildPolicy, ImageOrigin, Mode, Schedule};
use lowtide_model::secret::SecretRef;
use std::collections::BTreeMap;

impl Check<'_> {
    pub(super) fn app(&mut self, file: &raw::File, key: &str, raw: &raw::App) -> Option<App> {
        let own = Route::keys("apps").key(key);
        let mut layers = vec![(Origin::App, own.clone())];
        let scope = Scope::new(layers.clone());
        let name = self.name::<AppName>(&scope, &Route::default(), key);
        let mut below = raw::App::from(file.defaults.clone().unwrap_or_default());
        if let Some(text) = &raw.profile {
            match file.profiles.get(&text.0) {
                Some(profile) => {
                    layers.push((Origin::Profile(text.0.clone()), Route::keys("profiles").key(&text.0)));
                    below = raw::App::from(profile.clone()).over(below);
                }
                None if self.is_broken(&Route::keys("profiles").key(&text.0)) => {}
                None => {
                    let names: Vec<&str> = file.profiles.keys().map(String::as_str).collect();
                    self.report(
                        &scope,
                        &Route::keys("profile"),
                        unknown("unknown-profile", "profile", &text.0, &names),
                    );
                }
            }
        }
        layers.push((Origin::Defaults, Route::keys("defaults")));
        // `timezone` and `mode` of the fleet stand at the top level itself.
        layers.push((Origin::Fleet, Route::default()));
        let merged = raw.clone().over(below);
        self.settings_of(&Scope::new(layers), file, &merged, name)
    }

    /// Checks a profile or the defaults without an app, since a mistake in a profile that no app uses is a mistake,
    /// too.
    pub(super) fn lone(&mut self, file: &raw::File, origin: Origin, route: Route, raw: raw::App) {
        let Ok(name) = "x".parse::<AppName>() else { return };
        let scope = Scope::partial(vec![(origin, route), (Origin::Fleet, Route::default())]);
        self.settings_of(&scope, file, &raw, Some(name));
    }

    fn settings_of(&mut self, scope: &Scope, file: &raw::File, raw: &raw::App, name: Option<AppName>) -> Option<App> {
        let timezone = self.timezone(scope, raw.timezone.as_ref().or(file.timezone.as_ref()));
        let mode = match raw.mode.or(file.mode) {
            Some(raw::Mode::Active) => Mode::Active,
            Some(raw::Mode::Observe) | None => Mode::Observe,
        };
        self.note(
            scope,
            &Route::keys("mode"),
            if mode == Mode::Active { "active" } else { "observe" },
        );
        let maintainers = self.addresses(scope, &Route::keys("maintainers"), raw.maintainers.as_ref());
        if !maintainers.is_empty() {
            self.note(scope, &Route::keys("maintainers"), maintainers.join(", "));
        }
        let followed = self.followed(scope, raw);
        let is_followed = self.is_followed(scope, raw);
        let built = (!is_followed).then(|| self.source(scope, &raw.source.clone().unwrap_or_default()));
        let env = self.env(scope, &Route::keys("env"), &raw.env);
        let publish = self.publish(scope, raw.publish.as_ref(), Template::of(scope, raw, is_followed));
        let repo = built.as_ref().map_or("", |source| source.repo.as_str());
        let github_repo = self.github_repo(scope, file, raw, repo);
        let name = name?;
        let build = built
            .is_some()
            .then(|| self.build(scope, &raw.build.clone().unwrap_or_default()));
        let tests = self.tests(scope, &name, raw.test.as_ref(), raw.ready.as_ref());
        let origin = match built.zip(build) {
            Some((source, build)) => ImageOrigin::Built { source, build },
            None => {
                self.tests_alone(scope, &tests);
                ImageOrigin::Followed(followed?)
            }
        };
        let repository_file = if is_followed {
            None
        } else {
            self.repository_file(scope, raw)
        };
        let mut app = App {
            name,
            mode,
            timezone,
            maintainers,
            origin,
            env,
            tests,
            ready: self.ready(
                scope,
                &Route::keys("ready"),
                raw.ready.as_ref(),
                defaults::READY_TIMEOUT,
            ),
            publish,
            schedule: self.schedule(scope, raw),
            rollout: Vec::new(),
            github_repo,
            halt: self.halt(scope, &raw.halt.clone().unwrap_or_default()),
            repository_file: repository_file.map(Box::new),
        };
        self.window_of_app(scope, raw);
        self.duration(scope, "bake", raw.bake.as_ref(), defaults::BAKE);
        app.rollout = self.rollout(scope, raw, &app);
        Some(app)
    }

    /// Checked even where no target uses it.
    fn window_of_app(&mut self, scope: &Scope, raw: &raw::App) {
        if raw.rollout.as_ref().is_none_or(Vec::is_empty) {
            self.window(&scope.as_partial(), raw.window.as_ref());
        }
    }

    /// `build.secrets` and `build.ssh`, by the ids that the Dockerfile has.
    fn mounted(
        &mut self,
        scope: &Scope,
        key: &str,
        raw: &BTreeMap<String, Secret>,
        hint: &str,
    ) -> BTreeMap<String, SecretRef> {
        let mut secrets = BTreeMap::new();
        for (id, secret) in raw {
            let at = Route::keys("build").key(key).key(id);
            if id.is_empty() || id.contains([',', '=', '"', '\0']) || id.contains(char::is_whitespace) {
                let problem = Problem::new("bad-name", format!("`{}` cannot be the id of a secret", shown(id)));
                self.report(scope, &at, problem.hint(hint));
            }
            let secret = self.secret(scope, &at, Some(secret));
            secrets.extend(secret.map(|secret| (id.clone(), secret)));
        }
        secrets
    }

    pub(super) fn build(&mut self, scope: &Scope, raw: &raw::Build) -> BuildPolicy {
        let at = |key: &str| Route::keys("build").key(key);
        for name in raw
            .args
            .keys()
            .filter(|name| name.is_empty() || name.contains(['=', ' ']))
        {
            let problem = Problem::new(
                "bad-name",
                format!("`{}` cannot be the name of a build argument", shown(name)),
            );
            self.report(scope, &at("args").key(name), problem);
        }
        for name in raw.args.keys().filter(|name| crate::yaml::mask::is_secret_name(name)) {
            let problem = Problem::new(
                "secret-in-args",
                format!("the build argument `{}` looks like a secret", shown(name)),
            );
            let hint = "build arguments stay readable in the image's history: take `build.secrets`, and `RUN --mount=type=secret` in the Dockerfile";
            self.report(scope, &at("args").key(name), problem.hint(hint));
        }
        for (key, text) in &raw.args {
            self.note(scope, &at("args").key(key), text.0.clone());
        }
        let hint = "it is what the Dockerfile says: `--mount=type=secret,id=npm`";
        let secrets = self.mounted(scope, "secrets", &raw.secrets, hint);
        let hint = "it is what the Dockerfile says: `--mount=type=ssh,id=github`; without an id that is `default`";
        let ssh = self.mounted(scope, "ssh", &raw.ssh, hint);
        if let Some(target) = &raw.target {
            self.note(scope, &at("target"), target.0.clone());
        }
        let (label_schema, pull) = (raw.label_schema.unwrap_or(false), raw.pull.unwrap_or(true));
        self.note(scope, &at("label_schema"), label_schema.to_string());
        let upgrade = raw.upgrade.unwrap_or(false);
        self.note(scope, &at("pull"), pull.to_string());
        self.note(scope, &at("upgrade"), upgrade.to_string());
        BuildPolicy {
            host: self.host(scope, &at("host"), raw.host.as_ref()),
            args: strings(&raw.args),
            secrets,
            ssh,
            target: raw.target.as_ref().map(|text| text.0.clone()),
            labels: strings(&raw.labels),
            label_schema,
            pull,
            limits: self.build_limits(scope, raw.limits.as_ref()),
            timeout: self.limit(scope, "build.timeout", raw.timeout.as_ref(), defaults::BUILD_TIMEOUT),
            max_log: self.size(scope, "build.max_log", raw.max_log.as_ref(), defaults::BUILD_MAX_LOG),
            upgrade,
            max_age: Some(self.limit(scope, "build.max_age", raw.max_age.as_ref(), defaults::BUILD_MAX_AGE)),
            ignore_paths: self.ignore_paths(scope, raw),
        }
    }

    fn build_limits(&mut self, scope: &Scope, raw: Option<&raw::BuildLimits>) -> BuildLimits {
        let raw = raw.cloned().unwrap_or_default();
        let here = Route::keys("build.limits");
        // Engines refuse less (moby: 6 MiB), with a message that names no app.
        let least = 6 << 20;
        let memory = raw
            .memory
            .as_ref()
            .map(|text| self.size(scope, "build.limits.memory", Some(text), least));
        if memory.is_some_and(|memory| memory < least) {
            let problem = Problem::new("out-of-range", "`build.limits.memory` must be at least 6MiB");
            self.report(scope, &here.key("memory"), problem);
        }
        if let Some(cpus) = raw.cpus {
            self.note(scope, &here.key("cpus"), cpus.to_string());
        }
        BuildLimits { memory, cpus: raw.cpus }
    }

    fn ignore_paths(&mut self, scope: &Scope, raw: &raw::Build) -> Vec<String> {
        let here = Route::keys("build.ignore_paths");
        let mut patterns = Vec::new();
        for (place, text) in raw.ignore_paths.iter().flatten().enumerate() {
            if globset::Glob::new(&text.0).is_err() || !text.0.starts_with('/') {
                let problem = Problem::new(
                    "bad-pattern",
                    format!("`{}` is no pattern of absolute paths", shown(&text.0)),
                );
                let hint = "write it like `/srv/app/build-info.json` or `/srv/**/*.map`";
                self.report(scope, &here.index(place), problem.hint(hint));
            }
            self.note(scope, &here, text.0.clone());
            patterns.push(text.0.clone());
        }
        patterns
    }

    fn schedule(&mut self, scope: &Scope, raw: &raw::App) -> Schedule {
        let given = [
            ("nightly", raw.nightly.is_some()),
            ("cron", raw.cron.is_some()),
            ("schedule", raw.schedule.is_some()),
        ];
        let mut given = given
            .into_iter()
            .filter(|(_, given)| *given)
            .map(|(key, _)| Route::keys(key));
        if let (Some(one), Some(other)) = (given.next(), given.next()) {
            self.exclusive(scope, &one, &other);
        }
        if let Some(text) = &raw.cron {
            self.cron(scope, &text.0);
            self.note(scope, &Route::keys("cron"), text.0.clone());
            return Schedule::Cron(text.0.clone());
        }
        if raw.schedule.is_some() {
            self.note(scope, &Route::keys("schedule"), "never");
            return Schedule::Never;
        }
        let rest = Route::keys("nightly.between");
        let (mut from, mut to) = defaults::NIGHT;
        if let Some(text) = raw.nightly.as_ref().and_then(|nightly| nightly.between.as_ref()) {
            match quantity::span(&text.0) {
                Some((a, b)) if a != b => (from, to) = (a, b),
                Some(_) => {
                    let problem = Problem::new("empty-window", format!("the span `{}` has no length", shown(&text.0)));
                    self.report(
                        scope,
                        &rest,
                        problem.hint("for a fixed minute write `cron: \"0 1 * * *\"` instead"),
                    );
                }
                None => {
                    let problem = Problem::new("bad-time", format!("`{}` is not a span of the day", shown(&text.0)));
                    self.report(
                        scope,
                        &rest,
                        problem.hint("write it like `22:00-02:30`, with two digits each"),
                    );
                }
            }
        }
        self.note(
            scope,
            &rest,
            format!("{}-{}", quantity::time_text(from), quantity::time_text(to)),
        );
        Schedule::Between { from, to }
    }

    fn cron(&mut self, scope: &Scope, text: &str) {
        if self.good_crons.contains(text) {
            return;
        }
        let fields = text.split_whitespace().count();
        let hint = "minute hour day-of-month month day-of-week, as in `30 1 * * *`";
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let problem = match parser.parse(text) {
            _ if fields != 5 => Problem::new(
                "bad-cron",
                format!("`{}` has {fields} fields, a schedule has five", shown(text)),
            )
            .hint(hint),
            Err(_) => Problem::new("bad-cron", format!("`{}` is not a cron schedule", shown(text))).hint(hint),
            // Any moment will do: a schedule without one in its search range has none at all (31 February).
            Ok(cron) => {
                match cron.find_next_occurrence(&jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC), true) {
                    Ok(_) => {
                        self.good_crons.insert(text.to_owned());
                        return;
                    }
                    Err(_) => Problem::new("bad-cron", format!("`{}` never comes", shown(text)))
                        .hint("is there such a day in such a month?"),
                }
            }
        };
        self.report(scope, &Route::keys("cron"), problem);
    }

    /// `owner/name`: as configured, or taken from the source's address if the source is on the GitHub that gets the
    /// notices.
    fn github_repo(&mut self, scope: &Scope, file: &raw::File, raw: &raw::App, source: &str) -> Option<String> {
        let rest = Route::keys("github.repo");
        let Some(text) = raw.github.as_ref().and_then(|github| github.repo.as_ref()) else {
            let github = file.notify.as_ref().and_then(|notify| notify.github.as_ref());
            let api = github.and_then(|github| github.api.as_ref());
            return repo_on(api.map_or(defaults::GITHUB_API, |api| api.0.as_str()), source);
        };
        if !is_github_repo(&text.0) {
            let problem = Problem::new("bad-name", format!("`{}` is not a GitHub repository", shown(&text.0)));
            self.report(scope, &rest, problem.hint("write `owner/name`"));
        }
        self.note(scope, &rest, text.0.clone());
        Some(text.0.clone())
    }
}
