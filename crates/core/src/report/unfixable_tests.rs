use super::*;

fn pending(package: &str, security: bool, fix: Fix) -> PendingPackage {
    PendingPackage {
        package: package.to_owned(),
        architecture: "amd64".to_owned(),
        installed: Some("1".to_owned()),
        candidate: "2".to_owned(),
        origin: "Debian:12/stable".to_owned(),
        security,
        layer: None,
        fix,
    }
}

fn base(reference: &str) -> Fix {
    Fix::Base {
        reference: reference.to_owned(),
    }
}

#[test]
fn titles_count_what_matters() {
    let pin = Fix::Pin {
        version: "1".to_owned(),
        line: 4,
    };
    let gone = UnavailablePin {
        package: "nginx".to_owned(),
        version: "1".to_owned(),
        line: 4,
        available: None,
    };
    let titles = [
        title(&[pending("a", true, base("debian:12"))], &[]),
        title(
            &[pending("a", true, base("debian:12")), pending("b", true, pin.clone())],
            &[],
        ),
        title(&[pending("a", false, base("debian:12"))], &[]),
        title(&[pending("a", false, pin.clone()), pending("b", false, pin)], &[]),
        title(&[], &[gone]),
    ];
    insta::assert_snapshot!(titles.join("\n"), @"
    1 security fix needs a newer debian:12
    2 security fixes need a newer debian:12 and another version in the Dockerfile
    1 upgrade needs a newer debian:12
    2 upgrades need another version in the Dockerfile
    1 version the Dockerfile pins is gone
    ");
}
