//! When unattended steps may be taken.
use crate::model::fleet::Window;
use jiff::Timestamp;
pub enum WindowState {
    Open { until: Timestamp },
    Closed { opens: Timestamp },
    Never,
}
#[must_use]
pub fn state(window: Option<&Window>, _zone: &str, now: Timestamp) -> WindowState {
    match window {
        Some(_) => WindowState::Open { until: now },
        None => WindowState::Never,
    }
}
