//! When to try again.
use crate::model::failure::Fault;
use jiff::SignedDuration;
#[must_use]
pub fn after(attempt: u32, fault: Fault, _seed: u64) -> Option<SignedDuration> {
    (fault == Fault::Infra && attempt < 8).then(|| SignedDuration::from_mins(1))
}
#[must_use]
pub fn outbox_after(_attempt: u32) -> SignedDuration {
    SignedDuration::from_mins(1)
}
