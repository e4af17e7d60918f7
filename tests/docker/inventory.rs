//! The same image read in three ways: from a container's export, from the layers an engine saves, and from the layers a
//! registry serves. All say the same.

use super::engine::{engine, export, unique};
use super::proxy;
use lowtide::clients::credentials::Credentials;
use lowtide::clients::engine::build::BuildRequest;
use lowtide::clients::engine::connect::Engine;
use lowtide::clients::engine::context::{Limits as ContextLimits, Verdict};
use lowtide::clients::engine::image::ImageFacts;
use lowtide::clients::registry::connect::{Registry, Timeouts};
use lowtide::model::image::Reference;
use lowtide::model::inventory::{FileKind, Inventory};
use lowtide::packages::layer::assemble::Assembly;
use lowtide::packages::layer::read::read;
use lowtide::packages::layer::table::{Limits, Used};
use lowtide::packages::layer::wanted::Wanted;
use lowtide::packages::{diff, tree};
use lowtide::runtime::inventory::tables::Tables;
use lowtide::runtime::inventory::{engine as from_engine, registry as from_registry};
use lowtide::store::layer_cache::LayerCache;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Everything a layer can say: links of both kinds within and across layers, what is removed, replaced, emptied and comes
/// back, odd modes and owners, devices, capabilities, long names.
const STEPS: &str = r#"
RUN mkdir -p /t/emptied/deep /t/gone/deep /t/to-file /t/kept && cd /t && echo 1 > emptied/deep/a && echo 1 > gone/deep/b \
 && echo 1 > to-file/c && echo 1 > to-dir && echo 1 > replaced && echo same > hard1 && ln hard1 hard2 && ln hard1 kept/hard3 \
 && ln -s ../../../../etc/passwd out && ln -s /nowhere dangling && mkfifo fifo && mknod null c 1 3 && chmod 4711 replaced \
 && chown 7:8 kept && chmod 1777 kept && ln -s hard1 soft && ln soft kept/soft-twin
RUN cd /t && rm -r gone to-file to-dir && mkdir to-dir && echo 2 > to-dir/in && echo 2 > to-file && rm -r emptied && mkdir emptied \
 && echo 2 > emptied/new && echo 22 >> hard2 && rm replaced && ln hard1 hard4
RUN cd /t && mkdir -p gone && echo 3 > gone/back && rm kept/hard3 && chmod 0640 to-file && chown 1:1 to-dir/in \
 && mkdir a a.b && echo twin > a.b/z && ln a.b/z a/z
ADD made.tar /made/
RUN rm -r /made/gone && mkdir -p /var/cache/x && echo noise > /var/cache/x/y && ln /var/cache/x/y /t/of-noise
WORKDIR /srv/dir
VOLUME /vol/ume
"#;

/// A tar that holds what a build step cannot make everywhere.
fn made() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let header = |size: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header
    };
    // A v2 capability: cap_net_raw, permitted and effective (linux/capability.h, struct vfs_cap_data).
    let capability = [&[1, 0, 0, 2, 0, 0x20][..], &[0; 14]].concat();
    let xattr = [("SCHILY.xattr.security.capability", capability.as_slice())];
    builder.append_pax_extensions(xattr).unwrap();
    builder.append_data(&mut header(1), "ping", &b"p"[..]).unwrap();
    let long = "long-name/".repeat(20) + "end";
    builder.append_data(&mut header(1), &long, &b"l"[..]).unwrap();
    builder.append_data(&mut header(1), "gone/x", &b"x"[..]).unwrap();
    builder.append_data(&mut header(3), "späce name", &b"abc"[..]).unwrap();
    builder.into_inner().unwrap()
}

async fn built(engine: &Engine, dockerfile: &str) -> ImageFacts {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
    std::fs::write(dir.path().join("made.tar"), made()).unwrap();
    let built = engine
        .build(request(dir.path()), &mut |_| {}, &CancellationToken::new())
        .await
        .unwrap();
    engine.inspect_image(built.image.as_str()).await.unwrap().unwrap()
}

fn request(dir: &Path) -> BuildRequest {
    BuildRequest {
        context_dir: dir.to_owned(),
        dockerfile: "Dockerfile".into(),
        replace: Vec::new(),
        ignore: Arc::new(|_, _| Verdict::Include),
        limits: ContextLimits::default(),
        step_limits: lowtide::model::policy::BuildLimits::default(),
        commit_time: 1_700_000_000,
        tag: format!("{}:t", unique("lowtide-test/inventory")),
        args: BTreeMap::new(),
        target: None,
        labels: BTreeMap::new(),
        timeout: Duration::from_secs(300),
        nocache: true,
        pull: false,
        registry_auth: BTreeMap::new(),
        secrets: BTreeMap::new(),
        ssh: BTreeMap::new(),
        is_stale_index: lowtide::packages::stale_index::is_stale_index,
    }
}

fn by_export(facts: &ImageFacts) -> Inventory {
    let (wanted, limits) = (Wanted::inventory(), Limits::default());
    let tar = export(facts.id.as_str());
    let table = read(tar.as_slice(), wanted, &limits, &mut Used::default()).unwrap();
    assert!(table.whole);
    let mut assembly = Assembly::new(&limits);
    assembly.push(table).unwrap();
    let tree = assembly.finish(wanted);
    let (config, platform) = (facts.config.clone(), facts.platform.clone());
    tree::inventory(tree.clone(), &tree.contents, facts.id.clone(), platform, config).unwrap()
}

async fn by_layers(engine: &Engine, facts: &ImageFacts) -> Inventory {
    from_engine::read(engine, facts, &Tables::none())
        .await
        .unwrap()
        .inventory
}

async fn by_registry(engine: &Engine, facts: &ImageFacts) -> Inventory {
    let host = std::env::var("LOWTIDE_TEST_REGISTRY").unwrap();
    let reference: Reference = format!("{host}/{}:1", unique("inventory")).parse().unwrap();
    engine.tag_image(&facts.id, &reference).await.unwrap();
    engine.push(&reference, None).await.unwrap();
    engine.remove_image(&reference.to_string()).await.unwrap();
    let credentials = Credentials::new(BTreeMap::new(), None);
    let registry = Registry::new(BTreeMap::new(), credentials, Timeouts::default()).unwrap();
    let remote = registry.image(&reference, &facts.platform).await.unwrap();
    let seen = from_registry::read(&registry, &reference, &remote, &Tables::none()).await;
    seen.unwrap().inventory
}

fn assert_equal(what: &str, one: &Inventory, other: &Inventory) {
    let change = diff::change(one, other);
    assert!(change.is_empty(), "{what}: {change:#?}");
    assert_eq!(diff::content(one), diff::content(other), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_ways_of_reading_an_image_say_the_same() {
    let buildkit = engine();
    let classic = proxy::without_buildkit().await;
    for (builder, base) in [
        (&buildkit, "lowtide-test/debian:behind"),
        (&classic.engine(), "lowtide-test/debian:behind"),
        (&buildkit, "lowtide-test/busybox:1"),
    ] {
        let steps = if base.contains("busybox") {
            "RUN mkdir -p /x/y && touch /x/y/z && rm -r /tmp\n"
        } else {
            STEPS
        };
        let facts = built(builder, &format!("FROM {base}\n{steps}")).await;
        let export = by_export(&facts);
        let layers = by_layers(&buildkit, &facts).await;
        assert_equal(&format!("export and layers of {base}"), &export, &layers);
        assert_equal(
            &format!("layers of {base} and registry"),
            &layers,
            &by_registry(&buildkit, &facts).await,
        );
        assert_eq!(layers.layers.len(), facts.diff_ids.len());
        if steps == STEPS {
            let kind = |path: &str| layers.files[path].kind.clone();
            let target = "t/a/z".to_owned();
            assert_eq!(kind("t/a.b/z"), FileKind::Hardlink { target });
            assert!(matches!(kind("t/of-noise"), FileKind::File { size: 6, .. }));
            assert!(layers.files["made/ping"].capability.is_some());
            assert!(!layers.files.contains_key("t/emptied/deep") && !layers.files.contains_key("made/gone/x"));
            assert!(layers.files.contains_key("t/gone/back") && layers.files.contains_key("srv/dir"));
        }
        buildkit.remove_image(facts.id.as_str()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_come_with_the_layer_that_brought_them() {
    let engine = engine();
    let base = engine
        .inspect_image("lowtide-test/debian:behind")
        .await
        .unwrap()
        .unwrap();
    let dockerfile = "FROM lowtide-test/debian:behind\nRUN touch /x\n\
        RUN printf 'Package: ours\\nStatus: hold ok installed\\nVersion: 1\\nArchitecture: all\\n\\n' >> /var/lib/dpkg/status\n";
    let facts = built(&engine, dockerfile).await;
    let inventory = by_layers(&engine, &facts).await;
    let base: Vec<_> = base.diff_ids.iter().map(|id| id.parse().unwrap()).collect();
    let base_layers = inventory.base_layers(&base).unwrap();
    assert_eq!(inventory.layers.len(), base_layers + 2);
    let (ours, theirs): (Vec<_>, Vec<_>) = inventory.packages.iter().partition(|p| p.layer >= Some(base_layers));
    let ours: Vec<_> = ours.iter().map(|p| (p.name.as_str(), p.held, p.layer)).collect();
    assert_eq!(ours, [("ours", true, Some(base_layers + 1))]);
    assert!(theirs.len() > 50 && theirs.iter().all(|p| p.layer.is_some() && !p.held));
    assert_eq!(inventory.os.unwrap().id, "debian");
    engine.remove_image(facts.id.as_str()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_once_is_not_requested_again() {
    let engine = engine();
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::new(LayerCache::new(dir.path().to_owned()));
    let facts = built(&engine, "FROM lowtide-test/busybox:1\nRUN echo 1 > /only-here\n").await;
    let first = from_engine::read(&engine, &facts, &tables).await.unwrap();
    engine.remove_image(facts.id.as_str()).await.unwrap();
    // The engine does not have it any more.
    assert_eq!(from_engine::read(&engine, &facts, &tables).await.unwrap(), first);
    assert!(from_engine::read(&engine, &facts, &Tables::none()).await.is_err());
}
