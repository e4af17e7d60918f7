//! The arguments that the builder sets by itself (Dockerfile reference, "Automatic platform ARGs in the global scope").

use lowtide_model::image::Platform;
use std::collections::BTreeMap;

pub(super) const AUTOMATIC: &[&str] = &[
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
    "TARGETSTAGE",
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
];

/// All arguments of a build of `target` (`None`: the last stage) by an engine of `platform` for itself. What the
/// configuration gives counts more.
#[must_use]
pub fn arguments(
    given: &BTreeMap<String, String>,
    platform: &Platform,
    target: Option<&str>,
) -> BTreeMap<String, String> {
    let architecture = platform.architecture.as_str();
    let variant = match (&platform.variant, architecture) {
        (Some(variant), _) => variant.as_str(),
        // What containerd takes a 32-bit ARM for that says nothing else.
        (None, "arm") => "v7",
        (None, _) => "",
    };
    let separator = if variant.is_empty() { "" } else { "/" };
    let whole = format!("{}/{architecture}{separator}{variant}", platform.os);
    let mut all = BTreeMap::new();
    for side in ["TARGET", "BUILD"] {
        let values = [
            ("PLATFORM", whole.as_str()),
            ("OS", &platform.os),
            ("OSVERSION", ""),
            ("ARCH", architecture),
            ("VARIANT", variant),
        ];
        all.extend(values.map(|(name, value)| (format!("{side}{name}"), value.to_owned())));
    }
    all.insert("TARGETSTAGE".to_owned(), target.unwrap_or("default").to_owned());
    all.extend(given.clone());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_s_own_platform() {
        let shown = |os: &str, architecture: &str, given: &[(&str, &str)]| {
            let given = given.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let platform = Platform {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
                variant: None,
            };
            let all = arguments(&given, &platform, None);
            assert!(
                all.keys()
                    .all(|name| AUTOMATIC.contains(&name.as_str()) || given.contains_key(name))
            );
            ["TARGETPLATFORM", "BUILDARCH", "TARGETVARIANT", "TARGETSTAGE"].map(|name| all[name].clone())
        };
        assert_eq!(shown("linux", "amd64", &[]), ["linux/amd64", "amd64", "", "default"]);
        assert_eq!(shown("linux", "arm", &[]), ["linux/arm/v7", "arm", "v7", "default"]);
        assert_eq!(
            shown("linux", "arm64", &[("TARGETPLATFORM", "linux/riscv64"), ("X", "y")]),
            ["linux/riscv64", "arm64", "", "default"]
        );
    }
}
