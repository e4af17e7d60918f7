use super::*;
use proptest::prelude::*;

fn header(path: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o100_644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_cksum();
    header
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        builder
            .append(&header(path, tar::EntryType::Regular, bytes.len() as u64), *bytes)
            .unwrap();
    }
    builder.into_inner().unwrap()
}

fn parse(bytes: &[u8]) -> Result<Tree, TreeError> {
    read(bytes, &Limits::default())
}

#[test]
fn names_are_normalised_and_noise_left_out() {
    let tree = parse(&archive(&[
        ("./usr/bin/a", b"x"),
        ("/etc/hostname", b"h"),
        ("b/", b""),
        ("tmp/junk", b"junk"),
        ("var/lib/dpkg/status", b""),
    ]))
    .unwrap();
    assert_eq!(tree.files.keys().collect::<Vec<_>>(), ["b", "usr/bin/a"]);
    let FileKind::File { sha256, size } = &tree.files["usr/bin/a"].kind else {
        panic!()
    };
    assert_eq!((sha256.len(), *size), (64, 1));
    assert_eq!(tree.files["usr/bin/a"].mode, 0o644);
}

#[test]
fn links_devices_and_capabilities_are_seen() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut link = header("bin", tar::EntryType::Symlink, 0);
    builder.append_link(&mut link, "bin", "usr/bin").unwrap();
    let mut hard = header("usr/hard", tar::EntryType::Link, 0);
    builder.append_link(&mut hard, "usr/hard", "/usr/bin/a").unwrap();
    builder
        .append_pax_extensions([("SCHILY.xattr.security.capability", &[1u8, 0, 0, 2][..])])
        .unwrap();
    builder
        .append(&header("usr/bin/ping", tar::EntryType::Regular, 1), &b"p"[..])
        .unwrap();
    let long = "d/".repeat(120) + "end";
    builder
        .append_data(&mut header("x", tar::EntryType::Regular, 1), &long, &b"l"[..])
        .unwrap();
    let tree = parse(&builder.into_inner().unwrap()).unwrap();
    assert_eq!(
        tree.files["bin"].kind,
        FileKind::Symlink {
            target: "usr/bin".to_owned()
        }
    );
    assert_eq!(
        tree.files["usr/hard"].kind,
        FileKind::Hardlink {
            target: "usr/bin/a".to_owned()
        }
    );
    assert_eq!(tree.files["usr/bin/ping"].capability.as_deref(), Some("01000002"));
    assert!(tree.files.contains_key(&long));
}

#[test]
fn hostile_archives_are_refused_by_name() {
    let said = |bytes: &[u8], limits: &Limits| read(bytes, limits).unwrap_err().to_string();
    let all = Limits::default();
    insta::assert_snapshot!(said(&archive(&[("a/../../etc/passwd", b"")]), &all), @r#"the archive has the name "a/../../etc/passwd", which leaves its root"#);
    let few = Limits { entries: 2, ..all };
    insta::assert_snapshot!(said(&archive(&[("a", b""), ("b", b""), ("c", b"")]), &few), @"the archive has more than 2 entries");
    let small = Limits { content: 4, ..all };
    insta::assert_snapshot!(said(&archive(&[("a", b"12345")]), &small), @"the archive has more than 4 bytes of content");
    let names = Limits { names: 8, ..all };
    insta::assert_snapshot!(said(&archive(&[("123456789", b"")]), &names), @"the archive has more than 8 bytes of names");
    let kept = Limits { kept: 3, ..all };
    insta::assert_snapshot!(said(&archive(&[("etc/os-release", b"ID=x")]), &kept), @"the archive has more than 3 bytes of package databases");
}

#[test]
fn a_giant_long_name_costs_no_memory() {
    let claimed = header("././@LongLink", tar::EntryType::GNULongName, 64 << 30);
    let endless = io::Cursor::new(claimed.as_bytes().to_vec()).chain(io::repeat(b'a'));
    insta::assert_snapshot!(read(endless, &Limits::default()).unwrap_err(), @"the archive has more than 1048576 bytes in one header");
}

#[test]
fn a_cut_archive_is_never_taken_for_a_whole_one() {
    let whole = archive(&[("a", &[7; 3000]), ("b", b"x")]);
    for cut in 0..whole.len() - 512 {
        assert!(
            matches!(parse(&whole[..cut]), Err(TreeError::Truncated)),
            "cut at {cut}"
        );
    }
}

#[test]
fn garbage_is_an_error() {
    assert!(matches!(parse(&[0x41; 4096]), Err(TreeError::Read(_))));
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
    let inventory = inventory(tree, id, platform, config).unwrap();
    let names: Vec<_> = inventory.packages.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["a", "m", "z"]);
    assert_eq!(inventory.os.unwrap().id, "debian");
    assert_eq!(inventory.config.labels.keys().collect::<Vec<_>>(), ["maintainer"]);
    assert_eq!(inventory.files.keys().collect::<Vec<_>>(), ["usr/lib/os-release"]);
}

#[test]
fn a_damaged_database_is_named_by_its_path() {
    let tree = parse(&archive(&[("var/lib/dpkg/status.d/tz", b"rubbish")])).unwrap();
    let (id, platform) = image();
    let error = inventory(tree, id, platform, ImageConfig::default()).unwrap_err();
    insta::assert_snapshot!(error, @"var/lib/dpkg/status.d/tz, line 1: neither a field nor a continuation of one");
}

proptest! {
    #[test]
    fn damage_never_panics(at in 0usize..2048, byte: u8) {
        let mut bytes = archive(&[("a", b"hello"), ("etc/shadow", b"r:x:1:\n")]);
        bytes[at] = byte;
        let _ = parse(&bytes);
    }
}
