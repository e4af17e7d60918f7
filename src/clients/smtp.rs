//! Mail delivery.
