//! Which of old and new runs first.

use super::model::Unit;
use super::policy::{ContainersPolicy, Router};
use lowtide_model::policy::Order;
use lowtide_model::preview::OrderReason;
use lowtide_model::rollout::{Bar, Part};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    /// The old one is stopped before the new one starts: a gap, as short as can be.
    StopFirst,
    /// Both run until the new one serves.
    StartFirst,
}

/// The sequence of a unit. Never both in one unit.
///
/// # Errors
/// What bars the requested start-first.
pub(super) fn order<'a>(policy: &ContainersPolicy, unit: &'a Unit) -> Result<Sequence, Vec<&'a Bar>> {
    if unit.part == Part::Dependent {
        return Ok(Sequence::StopFirst);
    }
    match policy.order {
        Order::StopFirst => Ok(Sequence::StopFirst),
        // Start-first needs a router that is notified of the new container: otherwise the old one gets all requests until it
        // is removed, and nothing is gained.
        Order::Auto if policy.router.as_ref().is_some_and(takes_up) && unit.bars.is_empty() => Ok(Sequence::StartFirst),
        Order::Auto => Ok(Sequence::StopFirst),
        Order::StartFirst => {
            let bars: Vec<&Bar> = unit.bars.iter().filter(|bar| !is_settled(bar)).collect();
            if bars.is_empty() {
                Ok(Sequence::StartFirst)
            } else {
                Err(bars)
            }
        }
    }
}

/// Why a unit has its sequence, for people.
pub(super) fn reason(policy: &ContainersPolicy, unit: &Unit) -> OrderReason {
    let bars = |bars: Vec<&Bar>| bars.into_iter().cloned().collect();
    match (order(policy, unit), policy.order, &policy.router) {
        _ if unit.part == Part::Dependent => OrderReason::Dependent,
        (Err(refused), _, _) => OrderReason::Refused { bars: bars(refused) },
        (Ok(_), Order::StopFirst | Order::StartFirst, _) => OrderReason::Configured,
        (Ok(_), Order::Auto, None) => OrderReason::NoRouter,
        (Ok(_), Order::Auto, Some(router)) if !takes_up(router) => OrderReason::RouterPauses,
        (Ok(Sequence::StartFirst), Order::Auto, Some(_)) => OrderReason::RouterTakesUp,
        (Ok(Sequence::StopFirst), Order::Auto, Some(_)) => OrderReason::Bars {
            bars: unit.bars.clone(),
        },
    }
}

/// Can the router send requests to a second container? One that only ever holds requests back has a single
/// backend.
fn takes_up(router: &Router) -> bool {
    router.pause.is_empty() || !router.join.is_empty() || !router.leave.is_empty()
}

/// Only the owner knows whether two containers may write to one volume, and says so by `order: start-first`.
fn is_settled(bar: &Bar) -> bool {
    match bar {
        Bar::WritableVolume { .. } => true,
        Bar::PublishedPort { .. }
        | Bar::SharedNetwork
        | Bar::StaticAddress { .. }
        | Bar::FixedMac
        | Bar::Device
        | Bar::Held
        | Bar::AutoRemove => false,
    }
}

/// The update order of a unit; stop-first if the configured start-first is not possible.
#[must_use]
pub fn sequence(policy: &ContainersPolicy, unit: &Unit) -> Sequence {
    order(policy, unit).unwrap_or(Sequence::StopFirst)
}
