//! ssh remotes against a real sshd.

use super::{World, source};
use crate::support::ssh::{key, start};
use lowtide::model::failure::FailureKind;
use lowtide::model::policy::Source;
use lowtide::model::secret::SecretRef;

#[tokio::test]
async fn a_key_opens_the_door_and_a_changed_host_closes_it() {
    let world = World::new();
    let id = world.push("app", "First");
    for name in ["host", "client", "stranger"] {
        key(&world.path(name));
    }
    // As secrets are mounted: readable by all, which ssh itself would refuse.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(world.path("client"), open).unwrap();
    let sshd = start(world.dir.path());
    let with_key = |name: &str| Source {
        ssh_key: Some(SecretRef::File(world.path(name))),
        ..source(&format!(
            "ssh://{}@127.0.0.1:{}{}",
            sshd.user,
            sshd.port,
            world.path("srv/app.git").display()
        ))
    };
    assert_eq!(world.git.resolve(&with_key("client")).await.unwrap().id, id);
    assert_eq!(world.failure(&with_key("stranger")).await.0, FailureKind::SourceDenied);
    assert_eq!(
        std::fs::read_dir(world.path("mirrors/keys")).unwrap().count(),
        0,
        "no key is left behind"
    );

    let known = world.path("mirrors/known_hosts");
    let other = world.read("stranger.pub");
    std::fs::write(&known, format!("[127.0.0.1]:{} {other}", sshd.port)).unwrap();
    let (kind, detail) = world.failure(&with_key("client")).await;
    assert_eq!(kind, FailureKind::SourceDenied, "{detail}");
}
