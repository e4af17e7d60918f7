use super::*;
use insta::assert_snapshot;
use lowtide_model::freshness::Unknown;

const STYLE: Style = Style {
    color: false,
    width: 160,
};

fn pending(package: &str, installed: Option<&str>, security: bool, fix: Fix) -> PendingPackage {
    PendingPackage {
        package: package.to_owned(),
        architecture: "amd64".to_owned(),
        installed: installed.map(ToOwned::to_owned),
        candidate: "2.0-1".to_owned(),
        origin: "Debian:12.9/stable".to_owned(),
        security,
        layer: None,
        fix,
    }
}

fn image(name: &str, survey: Survey) -> Outdated {
    Outdated {
        image: name.to_owned(),
        digest: None,
        os: Some("Debian GNU/Linux 12 (bookworm)".to_owned()),
        survey,
    }
}

fn full() -> Survey {
    let base = Fix::Base {
        reference: "debian:12".to_owned(),
    };
    let pin = Fix::Pin {
        version: "1.0-1".to_owned(),
        line: 3,
    };
    let why = "it is not known how the image is built".to_owned();
    Survey {
        pending: vec![
            pending("curl", Some("1.0-1"), true, Fix::Rebuild),
            pending("libc6", Some("1.0-1"), true, base),
            pending("libnew", None, false, Fix::Perhaps { why }),
            pending("nginx", Some("1.0-1"), false, pin),
        ],
        kept_back: vec![KeptBack {
            package: "mysql".to_owned(),
            architecture: "amd64".to_owned(),
            installed: "1".to_owned(),
            candidate: "2".to_owned(),
            origin: String::new(),
            security: true,
            why: "it is held".to_owned(),
        }],
        removals: vec!["old:amd64".to_owned()],
        unknown: vec![Unknown {
            source: "https://apt.example.org stable".to_owned(),
            why: "it does not answer".to_owned(),
        }],
        ..Survey::default()
    }
}

#[test]
fn what_is_pending_in_several_images() {
    let gone = Survey::unseen("there is no such image");
    let images = [
        image("web:1", full()),
        image("fresh:1", Survey::default()),
        image("nowhere:1", gone),
    ];
    assert_snapshot!(outdated(&images, STYLE), @"
    IMAGE      SYSTEM                          PENDING
    web:1      Debian GNU/Linux 12 (bookworm)  4 packages, 2 for security; 1 source not known
    fresh:1    Debian GNU/Linux 12 (bookworm)  nothing
    nowhere:1  Debian GNU/Linux 12 (bookworm)  not known: there is no such image

    web:1
    PACKAGE       INSTALLED  CANDIDATE  FROM                FIX
    curl:amd64    1.0-1      2.0-1      Debian:12.9/stable  rebuild
    libc6:amd64   1.0-1      2.0-1      Debian:12.9/stable  base
    libnew:amd64  (new)      2.0-1      Debian:12.9/stable  perhaps
    nginx:amd64   1.0-1      2.0-1      Debian:12.9/stable  pin
    rebuild: the next rebuild brings it
    base: came with debian:12 and waits for a new one; with build.upgrade: true a rebuild brings it
    perhaps: a rebuild may bring it: it is not known how the image is built
    pin: line 3 of the Dockerfile pins nginx 1.0-1
    kept back: mysql 1 → 2 (security): it is held
    an upgrade would remove old:amd64
    not known: https://apt.example.org stable: it does not answer
    ");
}

#[test]
fn an_unreachable_archive_is_reported() {
    let unknown = Survey {
        unknown: full().unknown,
        ..Survey::default()
    };
    assert_snapshot!(outdated(&[image("web:1", unknown)], STYLE), @"
    IMAGE  SYSTEM                          PENDING
    web:1  Debian GNU/Linux 12 (bookworm)  not known; 1 source not known

    web:1
    not known: https://apt.example.org stable: it does not answer
    ");
}

#[test]
fn what_the_running_containers_of_a_host_lack() {
    let container = |name: &str, image: &str, image_id: &str| RunningContainer {
        name: name.to_owned(),
        image: image.to_owned(),
        image_id: image_id.to_owned(),
    };
    let known = |name: &str, id: &str, survey: Survey| Outdated {
        digest: Some(id.to_owned()),
        ..image(name, survey)
    };
    let old = format!("sha256:{}", "a".repeat(64));
    let why = "it is not known how the image is built".to_owned();
    let fix = Survey {
        pending: vec![pending("curl", Some("1.0-1"), true, Fix::Perhaps { why })],
        ..Survey::default()
    };
    let host = OutdatedHost {
        containers: vec![
            container("cache", "redis:7", "2"),
            container("odd", &old, &old),
            container("web-1", "web:1", "1"),
            container("web-2", "web:stable", "1"),
        ],
        images: vec![
            known("web:1", "1", fix),
            known("redis:7", "2", Survey::default()),
            known(&old, &old, Survey::unseen("its layers cannot be read")),
        ],
    };
    assert_snapshot!(running(&host, STYLE), @"
    CONTAINER  IMAGE                SYSTEM                          PENDING
    cache      redis:7              Debian GNU/Linux 12 (bookworm)  nothing
    odd        sha256:aaaaaaaaaaaa  Debian GNU/Linux 12 (bookworm)  not known: its layers cannot be read
    web-1      web:1                Debian GNU/Linux 12 (bookworm)  1 package, 1 for security
    web-2      web:stable           Debian GNU/Linux 12 (bookworm)  1 package, 1 for security

    web:1: web-1, web-2
    PACKAGE     INSTALLED  CANDIDATE  FROM                FIX
    curl:amd64  1.0-1      2.0-1      Debian:12.9/stable  perhaps
    perhaps: a rebuild may bring it: it is not known how the image is built

    4 containers of 3 images: 1 image has pending fixes, 1 of them for security; 1 image is not fully known
    ");
    let none = OutdatedHost {
        containers: Vec::new(),
        images: Vec::new(),
    };
    assert_snapshot!(running(&none, STYLE), @"No containers are running.");
    let fresh = OutdatedHost {
        containers: vec![container("cache", "redis:7", "2")],
        images: vec![known("redis:7", "2", Survey::default())],
    };
    assert_snapshot!(running(&fresh, STYLE), @"
    CONTAINER  IMAGE    SYSTEM                          PENDING
    cache      redis:7  Debian GNU/Linux 12 (bookworm)  nothing

    1 container of 1 image: nothing is pending
    ");
}
