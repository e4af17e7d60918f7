//! Warnings about settings that are valid but hardly intended, shown at their place in the text.

use crate::yaml::diagnostic::{Problem, Route, Span};
use crate::yaml::tree::{self, Node};
use lowtide_model::name::AppName;

/// A warning about the window of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowWarning {
    pub app: AppName,
    /// The target's place in the app's list.
    pub index: usize,
    /// `window-never-opens`, `window-too-short`.
    pub code: &'static str,
    /// One sentence without a full stop.
    pub message: String,
    pub hint: String,
}

/// The warnings with their places: the target's own window, else the app's, else that of the defaults. In a text that
/// cannot be parsed they have no place.
#[must_use]
pub fn windows(text: &[u8], warnings: &[WindowWarning]) -> Vec<Problem> {
    if warnings.is_empty() {
        return Vec::new();
    }
    let root = std::str::from_utf8(text).ok().and_then(|text| tree::read(text).ok());
    let mut problems: Vec<Problem> = warnings
        .iter()
        .map(|warning| {
            let (route, span) = root
                .as_ref()
                .and_then(|(root, _)| place(root, warning))
                .unwrap_or_default();
            Problem::new(warning.code, warning.message.clone())
                .hint(warning.hint.clone())
                .at(&route, span)
        })
        .collect();
    problems.sort_by_key(|problem| problem.span);
    problems
}

fn place(root: &Node, warning: &WindowWarning) -> Option<(Route, Span)> {
    let app = Route::keys("apps").key(warning.app.as_str());
    let target = app.key("rollout").index(warning.index);
    let places = [
        target.key("window"),
        app.key("window"),
        Route::keys("defaults.window"),
        target,
        app,
    ];
    places.into_iter().find_map(|route| {
        let span = root.place(&route)?;
        Some((route, span))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_stands_where_the_window_is_said() {
        let text = "version: 1\ndefaults:\n  window: { from: \"03:00\", to: \"04:00\" }\napps:\n  web:\n    rollout:\n      - container: \
                    { name: a }\n      - container: { name: b }\n        window: { from: \"05:00\", to: \"05:01\" }\n";
        let warning = |index| WindowWarning {
            app: "web".parse().unwrap(),
            index,
            code: "window-too-short",
            message: "m".to_owned(),
            hint: "h".to_owned(),
        };
        let found = windows(text.as_bytes(), &[warning(1), warning(0)]);
        let places: Vec<String> = found.iter().map(|p| format!("{} {}", p.span, p.route)).collect();
        assert_eq!(places, ["3:3 defaults.window", "9:9 apps.web.rollout[1].window"]);
    }
}
