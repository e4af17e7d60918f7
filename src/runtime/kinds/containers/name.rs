//! What containers are called while a rollout moves them. A service's own name always belongs to exactly one of them.

use lowtide_model::name::RolloutId;

/// The new container before it takes the unit's name.
#[must_use]
pub fn next(name: &str, rollout: &RolloutId) -> String {
    format!("{name}.next.{}", rollout.short())
}

/// The old container after the new one took its name.
#[must_use]
pub fn prev(name: &str, rollout: &RolloutId) -> String {
    format!("{name}.prev.{}", rollout.short())
}

/// A new container that was rolled back.
#[must_use]
pub fn failed(name: &str, rollout: &RolloutId) -> String {
    format!("{name}.failed.{}", rollout.short())
}

/// The one that keeps lowtide going while its own container is replaced.
#[must_use]
pub fn helper(name: &str, rollout: &RolloutId) -> String {
    format!("{name}.helper.{}", rollout.short())
}

/// Whether a rollout gave this name to a container it set aside. Such a container carries the service's labels but is
/// not the service.
#[must_use]
pub fn is_set_aside(name: &str) -> bool {
    let mut parts = name.rsplitn(3, '.');
    let short = parts.next().unwrap_or_default();
    let role = parts.next().unwrap_or_default();
    parts.next().is_some_and(|name| !name.is_empty())
        && matches!(role, "next" | "prev" | "failed" | "helper")
        && short.len() == 8
        && short.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_aside_names_are_reported_from_given_ones() {
        let rollout: RolloutId = "01J00000000000000000ABCDEF".parse().unwrap();
        assert_eq!(next("web", &rollout), "web.next.00abcdef");
        for made in [
            next("web", &rollout),
            prev("a.b", &rollout),
            failed("web", &rollout),
            helper("web", &rollout),
        ] {
            assert!(is_set_aside(&made), "{made}");
        }
        for given in [
            "web",
            "web.next",
            "web.next.ABCDEFGH",
            ".next.00abcdef",
            "next.00abcdef",
            "a.old.00abcdef",
        ] {
            assert!(!is_set_aside(given), "{given}");
        }
    }
}
