//! When a target may be changed unattended.

use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::quantity;
use crate::yaml::raw as shared;
use crate::yaml::raw::Text;
use crate::yaml::scope::Scope;
use jiff::SignedDuration;
use jiff::civil::{DateTime, Time};
use lowtide_model::window::{ClosedSpan, Closure, Day, Escalation, Overrun, Patience, Until, Weekly, Window};

/// The keys of a span of the week, wherever they stand.
struct Span<'a> {
    days: Option<&'a [Text]>,
    from: Option<&'a Text>,
    to: Option<&'a Text>,
    length: Option<&'a Text>,
    zone: Option<&'a Text>,
}

impl Check<'_> {
    /// `None`: there is no window, or it is invalid. Keys that only take time out of a window do not make one.
    pub(super) fn window(&mut self, scope: &Scope, raw: Option<&shared::Window>) -> Option<Window> {
        let base = Route::keys("window");
        let raw = raw?;
        let span = Span {
            days: raw.days.as_deref(),
            from: raw.from.as_ref(),
            to: raw.to.as_ref(),
            length: raw.r#for.as_ref(),
            zone: raw.zone.as_ref(),
        };
        let given = span.days.is_some() || span.from.is_some() || span.to.is_some() || span.length.is_some();
        let opens = if given {
            self.weekly(scope, &base, &span)
        } else {
            self.own_zone(scope, &base, span.zone);
            None
        };
        let mut closed = Vec::new();
        for (n, deny) in raw.deny.iter().flatten().enumerate() {
            closed.extend(self.deny(scope, &base.key("deny").index(n), deny));
        }
        for (n, blackout) in raw.blackouts.iter().flatten().enumerate() {
            let here = base.key("blackouts").index(n);
            let span = self.once(scope, &here, blackout.from.as_ref(), blackout.to.as_ref());
            closed.extend(span.map(|span| closure(span, blackout.why.as_ref())));
        }
        let freeze = raw.freeze.as_ref().map(|text| text.0.trim().to_owned());
        if let Some(why) = &freeze {
            self.note(scope, &base.key("freeze"), why.clone());
        }
        let cutoff = raw.cutoff.as_ref();
        let cutoff = cutoff.and_then(|text| self.some_time(scope, &base.key("cutoff"), text));
        let patience = self.patience(scope, &base, raw);
        let overrun = raw.overrun.map(overrun);
        if let Some((_, word)) = overrun {
            self.note(scope, &base.key("overrun"), word);
        }
        Some(Window {
            closed,
            // An empty text lifts a freeze that would be inherited.
            freeze: freeze.filter(|why| !why.is_empty()),
            cutoff,
            overrun: overrun.map(|(overrun, _)| overrun),
            patience,
            ..Window::from(opens?)
        })
    }

    fn patience(&mut self, scope: &Scope, base: &Route, raw: &shared::Window) -> Patience {
        let Patience {
            max_wait,
            max_wait_security,
            ..
        } = Patience::default();
        let (then, word) = match raw.escalate {
            Some(shared::EscalateWord::Start) => (Escalation::Start, "start"),
            Some(shared::EscalateWord::Notify) | None => (Escalation::Notify, "notify"),
        };
        let patience = Patience {
            max_wait: self.limit_at(scope, &base.key("max_wait"), raw.max_wait.as_ref(), max_wait),
            max_wait_security: self.limit_at(
                scope,
                &base.key("max_wait_security"),
                raw.max_wait_security.as_ref(),
                max_wait_security,
            ),
            then,
        };
        self.note(scope, &base.key("escalate"), word);
        patience
    }

    fn weekly(&mut self, scope: &Scope, base: &Route, raw: &Span<'_>) -> Option<Weekly> {
        let from = self.wanted_time(scope, &base.key("from"), raw.from);
        let until = match (raw.to, raw.length) {
            (Some(_), Some(_)) => {
                self.exclusive(scope, &base.key("to"), &base.key("for"));
                None
            }
            (_, Some(text)) => self.length(scope, &base.key("for"), text),
            (to, None) => self.wanted_end(scope, &base.key("to"), from, to),
        };
        let days = self.days(scope, &base.key("days"), raw.days);
        let zone = self.own_zone(scope, base, raw.zone);
        Some(Weekly {
            days,
            from: from?,
            until: until?,
            zone,
        })
    }

    fn wanted_time(&mut self, scope: &Scope, rest: &Route, raw: Option<&Text>) -> Option<Time> {
        let Some(text) = raw else {
            self.missing(scope, rest, "write `window: { from: \"03:00\", to: \"05:00\" }`");
            return None;
        };
        self.note(scope, rest, text.0.clone());
        self.time(scope, rest, &text.0)
    }

    fn wanted_end(&mut self, scope: &Scope, rest: &Route, from: Option<Time>, raw: Option<&Text>) -> Option<Until> {
        // `24:00` is the beginning of the next day. Only `to` may be written that way.
        if raw.is_some_and(|text| text.0 == "24:00") {
            self.note(scope, rest, "24:00");
            return Some(Until::To(Time::midnight()));
        }
        let to = self.wanted_time(scope, rest, raw)?;
        if from == Some(to) {
            let problem = Problem::new(
                "empty-window",
                format!("this window closes when it opens, at {}", quantity::time_text(to)),
            );
            let hint = "for a whole day write `from: \"00:00\", to: \"24:00\"`, for 24 hours `for: 24h`";
            self.report(scope, rest, problem.hint(hint));
        }
        Some(Until::To(to))
    }

    fn length(&mut self, scope: &Scope, rest: &Route, text: &Text) -> Option<Until> {
        let length = self.some_time(scope, rest, text)?;
        if length > Until::LONGEST {
            let longest = quantity::duration_text(Until::LONGEST);
            let problem = Problem::new("out-of-range", format!("`{rest}` must be at most {longest}"));
            self.report(scope, rest, problem.hint("a window opens every week"));
            return None;
        }
        Some(Until::For(length))
    }

    fn some_time(&mut self, scope: &Scope, rest: &Route, text: &Text) -> Option<SignedDuration> {
        let length = self.duration_at(scope, rest, Some(text), SignedDuration::from_mins(1));
        if length.is_zero() {
            let problem = Problem::new("out-of-range", format!("`{rest}` must be longer than nothing"));
            self.report(scope, rest, problem.hint("write it like `20m` or `4h`"));
            return None;
        }
        Some(length)
    }

    fn days(&mut self, scope: &Scope, rest: &Route, raw: Option<&[Text]>) -> Vec<Day> {
        let mut days = Vec::new();
        match raw {
            None => days.extend(Day::ALL),
            Some(words) => {
                for (n, text) in words.iter().enumerate() {
                    days.extend(self.day(scope, &rest.index(n), &text.0));
                }
                if words.is_empty() {
                    let problem = Problem::new("empty-window", "this window opens on no day");
                    let hint = "name days, or take `days` out for all of them";
                    self.report(scope, rest, problem.hint(hint));
                }
            }
        }
        days.sort_unstable();
        days.dedup();
        let text: Vec<&str> = days.iter().map(|day| quantity::day_text(*day)).collect();
        self.note(scope, rest, text.join(", "));
        days
    }

    fn day(&mut self, scope: &Scope, rest: &Route, text: &str) -> Option<Day> {
        let day = quantity::day(text);
        if day.is_none() {
            let names: Vec<&str> = quantity::DAYS.iter().map(|(name, _)| *name).collect();
            let short = text.to_lowercase().chars().take(3).collect::<String>();
            let hint = match names.iter().find(|name| **name == short) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("days are {}", crate::yaml::words::list(&names)),
            };
            self.report(
                scope,
                rest,
                Problem::new("bad-day", format!("`{}` is not a day", shown(text))).hint(hint),
            );
        }
        day
    }

    fn own_zone(&mut self, scope: &Scope, base: &Route, raw: Option<&Text>) -> Option<String> {
        let rest = base.key("zone");
        let name = raw?.0.clone();
        self.zone(scope, &rest, &name);
        self.note(scope, &rest, name.clone());
        Some(name)
    }

    /// With a date it is a single span. Without any time it covers whole days.
    fn deny(&mut self, scope: &Scope, base: &Route, raw: &shared::Deny) -> Option<Closure> {
        let dated = |text: &Option<Text>| text.as_ref().is_some_and(|text| text.0.contains('-'));
        let span = if dated(&raw.from) || dated(&raw.to) {
            for (key, other) in [
                ("days", raw.days.is_some()),
                ("for", raw.r#for.is_some()),
                ("zone", raw.zone.is_some()),
            ] {
                if other {
                    let message = format!("`{}` goes with times of the week, not with dates", base.key(key));
                    let hint = "a span from date to date has only `from`, `to` and `why`";
                    self.report(scope, &base.key(key), Problem::new("one-of", message).hint(hint));
                }
            }
            self.once(scope, base, raw.from.as_ref(), raw.to.as_ref())?
        } else {
            let (midnight, end) = (Text("00:00".to_owned()), Text("24:00".to_owned()));
            let timeless = raw.from.is_none() && raw.to.is_none() && raw.r#for.is_none();
            let span = Span {
                days: raw.days.as_deref(),
                from: raw.from.as_ref().or(timeless.then_some(&midnight)),
                to: raw.to.as_ref().or(timeless.then_some(&end)),
                length: raw.r#for.as_ref(),
                zone: raw.zone.as_ref(),
            };
            ClosedSpan::Weekly(self.weekly(scope, base, &span)?)
        };
        Some(closure(span, raw.why.as_ref()))
    }

    fn once(&mut self, scope: &Scope, base: &Route, from: Option<&Text>, to: Option<&Text>) -> Option<ClosedSpan> {
        let mut at = |key: &str, raw: Option<&Text>| -> Option<DateTime> {
            let rest = base.key(key);
            let Some(text) = raw else {
                self.missing(scope, &rest, "write `{ from: 2026-12-20, to: 2027-01-04 }`");
                return None;
            };
            self.note(scope, &rest, text.0.clone());
            let read = quantity::datetime(&text.0);
            if read.is_none() {
                let problem = Problem::new("bad-time", format!("`{}` is not a date", shown(&text.0)));
                self.report(scope, &rest, problem.hint("write `2026-12-20` or `2026-12-20T18:00`"));
            }
            read
        };
        let (from, to) = (at("from", from), at("to", to));
        let (from, to) = (from?, to?);
        if from >= to {
            let problem = Problem::new("empty-window", "this span ends before it begins");
            let hint = "`to` is the first moment after it: a day is over when the next one begins";
            self.report(scope, &base.key("to"), problem.hint(hint));
            return None;
        }
        Some(ClosedSpan::Once { from, to })
    }
}

fn closure(span: ClosedSpan, why: Option<&Text>) -> Closure {
    let why = why.map(|text| text.0.trim().to_owned()).filter(|why| !why.is_empty());
    Closure { span, why }
}

fn overrun(word: shared::OverrunWord) -> (Overrun, &'static str) {
    match word {
        shared::OverrunWord::Finish => (Overrun::Finish, "finish"),
        shared::OverrunWord::Suspend => (Overrun::Suspend, "suspend"),
        shared::OverrunWord::Revert => (Overrun::Revert, "revert"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::validate;

    /// The codes of what is wrong with a blackout from `from` to `to`.
    fn codes(from: &str, to: &str) -> Vec<&'static str> {
        let text = format!(
            "version: 1\ndefaults: {{ window: {{ from: \"03:00\", to: \"05:00\", blackouts: [ {{ from: {from}, to: {to} }} ] }} }}\n\
             apps: {{ web: {{ source: {{ repo: \"https://git.example.org/web.git\" }} }} }}\n"
        );
        match validate::fleet(text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(|problem| problem.code).collect(),
        }
    }

    #[test]
    fn a_blackout_ends_after_it_begins() {
        assert_eq!(codes("2026-12-20", "2026-12-21"), Vec::<&str>::new());
        assert_eq!(codes("2026-12-20", "2026-12-20T00:01"), Vec::<&str>::new());
        assert_eq!(codes("2026-12-20", "2026-12-20"), ["empty-window"]);
        assert_eq!(codes("2026-12-20T12:00", "2026-12-20T12:00"), ["empty-window"]);
        assert_eq!(codes("2026-12-21", "2026-12-20"), ["empty-window"]);
    }
}
