use super::*;
use crate::layer::assemble::Assembly;
use crate::layer::error::LayerError;
use crate::layer::read::read;
use crate::layer::table::{Limits, Used};
use crate::layer::testing::archive;
use crate::layer::wanted::Wanted;

/// As the only layer of an image.
fn parse(bytes: &[u8]) -> Result<Tree, LayerError> {
    let (wanted, limits) = (Wanted::inventory(), Limits::default());
    let mut assembly = Assembly::new(&limits);
    let table = read(bytes, wanted, &limits, &mut Used::default())?;
    if !table.whole {
        return Err(LayerError::Truncated);
    }
    assembly.push(table)?;
    Ok(assembly.finish(wanted))
}

#[test]
fn ignored_files_are_left_out_and_directories_are_there() {
    let tree = parse(&archive(&[
        ("./usr/bin/a", b"x"),
        ("/etc/hostname", b"h"),
        ("b/", b""),
        ("tmp/junk", b"junk"),
        ("var/lib/dpkg/status", b""),
    ]))
    .unwrap();
    let files: Vec<&str> = tree.files.keys().map(String::as_str).collect();
    assert_eq!(
        files.join(" "),
        "b etc tmp usr usr/bin usr/bin/a var var/lib var/lib/dpkg"
    );
    assert_eq!(tree.files["usr/bin"].file, made_directory());
    assert_eq!(tree.contents.keys().collect::<Vec<_>>(), ["var/lib/dpkg/status"]);
    assert_eq!(tree.layers.len(), 1);
}

#[test]
fn a_cut_archive_is_never_taken_for_a_whole_one() {
    let whole = archive(&[("a", &[7; 3000]), ("b", b"x")]);
    for cut in (0..whole.len() - 512).step_by(7) {
        assert!(
            matches!(parse(&whole[..cut]), Err(LayerError::Truncated)),
            "cut at {cut}"
        );
    }
}

fn image() -> (ImageId, Platform) {
    let id = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
    let platform = Platform {
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        variant: None,
    };
    (id, platform)
}

#[test]
fn an_inventory_is_put_together() {
    let tree = parse(&archive(&[
        ("usr/lib/os-release", b"ID=debian\nVERSION_ID=\"12\"\n"),
        (
            "var/lib/dpkg/status",
            b"Package: z\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n",
        ),
        (
            "var/lib/dpkg/status.d/base",
            b"Package: a\nVersion: 2\nArchitecture: all\n",
        ),
        ("var/lib/dpkg/status.d/base.md5sums", b"0123  x\n"),
        ("lib/apk/db/installed", b"P:m\nV:3\nA:x86_64\n\n"),
    ]))
    .unwrap();
    let (id, platform) = image();
    let mut config = ImageConfig::default();
    for label in [
        "maintainer",
        "org.opencontainers.image.created",
        "org.label-schema.vcs-ref",
        "io.lowtide.run",
    ] {
        config.labels.insert(label.to_owned(), "x".to_owned());
    }
    let inventory = inventory(tree.clone(), &tree.contents, id, platform, config).unwrap();
    let names: Vec<_> = inventory.packages.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["a", "m", "z"]);
    assert_eq!(inventory.os.unwrap().id, "debian");
    assert_eq!(inventory.config.labels.keys().collect::<Vec<_>>(), ["maintainer"]);
    assert_eq!(
        inventory.files.keys().filter(|path| path.contains("release")).count(),
        1
    );
}

#[test]
fn a_damaged_database_is_named_by_its_path() {
    let tree = parse(&archive(&[("var/lib/dpkg/status.d/tz", b"rubbish")])).unwrap();
    let (id, platform) = image();
    let error = inventory(tree.clone(), &tree.contents, id, platform, ImageConfig::default()).unwrap_err();
    insta::assert_snapshot!(error, @"var/lib/dpkg/status.d/tz, line 1: neither a field nor a continuation of one");
}

#[test]
fn what_every_container_gets_is_there_and_no_more() {
    let tree = parse(&archive(&[("srv/a", b"x")])).unwrap();
    let (id, platform) = image();
    let config = ImageConfig {
        working_dir: "/srv/app/".to_owned(),
        ..ImageConfig::default()
    };
    let inventory = inventory(tree.clone(), &tree.contents, id, platform, config).unwrap();
    let files: Vec<&str> = inventory.files.keys().map(String::as_str).collect();
    assert_eq!(files.join(" "), "dev etc proc srv srv/a srv/app sys");
    assert!(inventory.packages.is_empty() && inventory.os.is_none());
}
