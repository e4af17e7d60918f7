//! What a GitHub App must be allowed.

use crate::clients::github::connect::Installation;

/// The least that each message needs, as GitHub names it: `write` includes `read`.
const NEEDED: [(&str, &str); 4] = [
    ("metadata", "read"),
    ("checks", "write"),
    ("issues", "write"),
    // Which pull request brought a commit, and the comment there.
    ("pull_requests", "write"),
];

/// # Errors
/// What is lacking, in a sentence for an operator.
pub(super) fn enough(installation: &Installation, deployments: bool) -> Result<(), String> {
    if installation.suspended_at.is_some() {
        return Err("the App's installation is suspended: the owner of the repository can unsuspend it".to_owned());
    }
    let needed = NEEDED
        .into_iter()
        .chain(deployments.then_some(("deployments", "write")));
    let lacks: Vec<String> = needed
        .filter(|(name, level)| {
            let given = installation.permissions.get(*name).map(String::as_str);
            !matches!((*level, given), (_, Some("write" | "admin")) | ("read", Some("read")))
        })
        .map(|(name, level)| format!("{name}: {level}"))
        .collect();
    if lacks.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the App lacks {}; add it on the App's settings page, then accept it where the App is installed",
        lacks.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_lacks_is_named() {
        let with = |permissions: &str, suspended: &str| {
            let json = format!(r#"{{"id":1,"permissions":{permissions},"suspended_at":{suspended}}}"#);
            enough(&serde_json::from_str(&json).unwrap(), true)
                .err()
                .unwrap_or_default()
        };
        let all =
            r#"{"metadata":"read","checks":"write","issues":"write","pull_requests":"write","deployments":"write"}"#;
        assert_eq!(with(all, "null"), "");
        insta::assert_snapshot!(with(r#"{"metadata":"read","checks":"read","issues":"write"}"#, "null"), @"the App lacks checks: write, pull_requests: write, deployments: write; add it on the App's settings page, then accept it where the App is installed");
        insta::assert_snapshot!(with(all, r#""2026-11-20T08:00:00Z""#), @"the App's installation is suspended: the owner of the repository can unsuspend it");
        let without =
            r#"{"id":1,"permissions":{"metadata":"read","checks":"write","issues":"write","pull_requests":"write"}}"#;
        assert_eq!(enough(&serde_json::from_str(without).unwrap(), false), Ok(()));
    }
}
