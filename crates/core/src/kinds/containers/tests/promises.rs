//! What holds at every instant of a rollout of containers.

use super::world::{Kind, World};
use crate::kinds::containers::look::policy_is;
use crate::kinds::containers::model::{ObservedContainer, RestartPolicy, Unit};
use lowtide_model::container::{ContainerState, Health};

impl World {
    /// Promise 3, checked at every instant.
    pub(crate) fn nobody_is_lost(&self, kind: Kind, units: &[Unit]) {
        for unit in units {
            let seen = &self.observe(std::slice::from_ref(unit))[0];
            let new_serves = seen
                .candidates
                .iter()
                .any(|c| c.name == unit.name && (c.state == ContainerState::Running || !unit.was_running));
            let can_be_made_again = self.retained_images.contains(&unit.index);
            assert!(
                seen.old.is_some() || new_serves || can_be_made_again,
                "{} has neither old nor new: {self:?}",
                unit.name
            );
            let by_itself = |c: &ObservedContainer| !policy_is(c, &RestartPolicy::none());
            let auto = seen.old.iter().chain(&seen.candidates).filter(|c| by_itself(c)).count();
            assert!(auto <= 1, "both may start by themselves: {self:?}");
            let both = seen.old.iter().chain(&seen.candidates);
            match kind {
                // The router always sends requests to a container that is ready.
                Kind::Routed => {
                    let is_ready = |c: &ObservedContainer| {
                        let old = seen.old.as_ref().is_some_and(|old| old.id == c.id);
                        c.state == ContainerState::Running && (old || c.health == Health::Healthy)
                    };
                    let mut sent = both.filter(|c| self.routed.contains(&c.id)).peekable();
                    assert!(sent.peek().is_some() && sent.all(is_ready), "a request fails: {self:?}");
                }
                // No request is sent to a service during its gap.
                Kind::Paused => {
                    let mut running = both.filter(|c| c.state == ContainerState::Running);
                    assert!(self.holding || running.next().is_some(), "a request fails: {self:?}");
                }
                Kind::Plain | Kind::AutoRemove | Kind::Held | Kind::Tagged => {}
            }
        }
    }
}
