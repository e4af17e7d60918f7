use super::super::testing::{Archive, add, archive, header};
use super::*;
use proptest::prelude::*;
use std::fmt::Write as _;
use tar::EntryType;

fn parse(bytes: &[u8]) -> Result<LayerTable, LayerError> {
    read(bytes, Wanted::inventory(), &Limits::default(), &mut Used::default())
}

fn shown(table: &LayerTable) -> String {
    let mut lines = String::new();
    for (path, entry) in &table.entries {
        let inode = entry.inode.map(|n| format!(" #{n}")).unwrap_or_default();
        let kind = match &entry.file.kind {
            FileKind::File { size, .. } => format!("file {size}"),
            FileKind::Directory => "directory".to_owned(),
            FileKind::Symlink { target } => format!("-> {target}"),
            FileKind::Hardlink { target } => format!("=> {target}"),
            FileKind::Device { major, minor } => format!("device {major}:{minor}"),
            FileKind::Fifo => "fifo".to_owned(),
        };
        writeln!(lines, "{path} {kind}{inode}").unwrap();
    }
    table
        .hidden
        .iter()
        .for_each(|path| writeln!(lines, "{path} hidden").unwrap());
    table
        .opaque
        .iter()
        .for_each(|path| writeln!(lines, "{path} opaque").unwrap());
    lines
}

#[test]
fn entries_marks_and_links_are_reported_apart() {
    let table = parse(&archive(&[
        ("./", b""),
        ("./usr/bin/a", b"x"),
        ("usr/bin/b", b"=> ./usr/bin/a"),
        ("usr/bin/c", b"=> usr/bin/below"),
        ("bin", b"-> usr/bin"),
        ("bin/d", b"dd"),
        ("gone/.wh.old", b""),
        (".wh.top", b""),
        ("cleared/.wh..wh..opq", b""),
        (".wh..wh.aufs", b""),
    ]))
    .unwrap();
    insta::assert_snapshot!(shown(&table), @r"
    bin -> usr/bin
    usr/bin/a file 1 #1
    usr/bin/b file 1 #1
    usr/bin/c => usr/bin/below
    usr/bin/d file 2
    gone/old hidden
    top hidden
    cleared opaque
    ");
    assert!(table.whole);
}

#[test]
fn of_two_entries_with_one_name_the_later_stands() {
    let table = parse(&archive(&[
        ("a/", b""),
        ("a/x", b"1"),
        ("etc/os-release", b"ID=old"),
        ("b", b"=> a/x"),
        ("a", b"now a file"),
        ("c", b"1"),
        ("c/", b""),
        ("c/y", b"22"),
        ("etc/os-release", b"-> ../usr/lib/os-release"),
    ]))
    .unwrap();
    insta::assert_snapshot!(shown(&table), @r"
    a file 10
    b file 1 #1
    c directory
    c/y file 2
    etc/os-release -> ../usr/lib/os-release
    ");
    assert!(table.wanted.is_empty());
}

#[test]
fn devices_capabilities_and_long_names_are_seen() {
    let mut builder = Archive::new(Vec::new());
    builder
        .append_pax_extensions([("SCHILY.xattr.security.capability", &[1u8, 0, 0, 2][..])])
        .unwrap();
    add(&mut builder, "usr/bin/ping", b"p");
    let mut device = header("null", EntryType::Char, 0);
    device.set_device_major(1).unwrap();
    device.set_device_minor(3).unwrap();
    device.set_cksum();
    builder.append(&device, &b""[..]).unwrap();
    let long = "d/".repeat(120) + "end";
    builder
        .append_data(&mut header("x", EntryType::Regular, 1), &long, &b"l"[..])
        .unwrap();
    let mut strange = header("link", EntryType::Symlink, 0);
    strange.set_mode(0o644);
    builder.append_link(&mut strange, "link", "target").unwrap();
    let table = parse(&builder.into_inner().unwrap()).unwrap();
    let ping = &table.entries["usr/bin/ping"].file;
    assert_eq!((ping.capability.as_deref(), ping.mode), (Some("01000002"), 0o644));
    assert_eq!(table.entries["null"].file.kind, FileKind::Device { major: 1, minor: 3 });
    assert_eq!(table.entries["link"].file.mode, 0o777);
    assert!(table.entries.contains_key(&long));
}

#[test]
fn an_old_sparse_file_is_its_content() {
    // One block of data at 512 in a file of 1024 bytes (GNU tar manual, "Old GNU Format").
    let mut sparse = header("s", EntryType::GNUSparse, 512);
    let gnu = sparse.as_gnu_mut().unwrap();
    gnu.realsize.copy_from_slice(b"000000002000");
    gnu.sparse[0].offset.copy_from_slice(b"000000001000");
    gnu.sparse[0].numbytes.copy_from_slice(b"000000001000");
    sparse.set_cksum();
    let mut builder = Archive::new(Vec::new());
    builder.append(&sparse, &[7u8; 512][..]).unwrap();
    let expanded = [[0u8; 512], [7u8; 512]].concat();
    let table = parse(&builder.into_inner().unwrap()).unwrap();
    let plain = parse(&archive(&[("s", &expanded)])).unwrap();
    assert_eq!(table.entries, plain.entries);

    let mut builder = Archive::new(Vec::new());
    builder
        .append_pax_extensions([("GNU.sparse.major", &b"1"[..])])
        .unwrap();
    add(&mut builder, "GNUSparseFile.0/s", b"1");
    insta::assert_snapshot!(parse(&builder.into_inner().unwrap()).unwrap_err(), @r#""GNUSparseFile.0/s" is a sparse file in a format that is not supported"#);
}

#[test]
fn hostile_archives_are_refused_by_name() {
    let said = |files: &[(&str, &[u8])], limits: &Limits| {
        let error = read(
            archive(files).as_slice(),
            Wanted::inventory(),
            limits,
            &mut Used::default(),
        )
        .unwrap_err();
        error.to_string()
    };
    let all = Limits::default();
    insta::assert_snapshot!(said(&[("a/../../etc/passwd", b"")], &all), @r#"the archive has the name "a/../../etc/passwd", which leaves its root"#);
    insta::assert_snapshot!(said(&[("a", b"x"), ("b", b"=> ../../etc/passwd")], &all), @r#"the archive has the name "../../etc/passwd", which leaves its root"#);
    insta::assert_snapshot!(said(&[("d/", b""), ("b", b"=> d")], &all), @r#""b" is a hard link to "d", which is no file"#);
    insta::assert_snapshot!(said(&[("d", b""), ("d/x", b"")], &all), @r#""d/x" lies in something that is no directory"#);
    insta::assert_snapshot!(said(&[("l", b"-> l"), ("l/x", b"")], &all), @r#""l/x" leads through too many links"#);
    insta::assert_snapshot!(said(&[("a/.wh..", b"")], &all), @r#"the archive has the name "a/.wh..", which leaves its root"#);
    let few = Limits { entries: 2, ..all };
    insta::assert_snapshot!(said(&[("a", b""), ("b", b""), ("c", b"")], &few), @"the archive has more than 2 entries");
    let small = Limits { content: 4, ..all };
    insta::assert_snapshot!(said(&[("a", b"12345")], &small), @"the archive has more than 4 bytes of content");
    let names = Limits { names: 8, ..all };
    insta::assert_snapshot!(said(&[("123456789", b"")], &names), @"the archive has more than 8 bytes of names");
    let stored = Limits { stored: 3, ..all };
    insta::assert_snapshot!(said(&[("etc/os-release", b"ID=x")], &stored), @"the archive has more than 3 bytes of package databases");
}

#[test]
fn links_that_leave_the_root_end_at_it() {
    let table = parse(&archive(&[("out", b"-> ../../../etc"), ("out/passwd", b"x")])).unwrap();
    insta::assert_snapshot!(shown(&table), @r"
    etc/passwd file 1
    out -> ../../../etc
    ");
}

#[test]
fn endless_input_costs_no_memory() {
    let claimed = header("././@LongLink", EntryType::GNULongName, 64 << 30);
    let endless = io::Cursor::new(claimed.as_bytes().to_vec()).chain(io::repeat(b'a'));
    let wanted = Wanted::inventory();
    insta::assert_snapshot!(read(endless, wanted, &Limits::default(), &mut Used::default()).unwrap_err(), @"the archive has more than 1048576 bytes in one header");
    let status = header("var/lib/dpkg/status", EntryType::Regular, 100 << 20);
    let endless = io::Cursor::new(status.as_bytes().to_vec()).chain(io::repeat(b'\n'));
    insta::assert_snapshot!(read(endless, wanted, &Limits::default(), &mut Used::default()).unwrap_err(), @"the archive has more than 33554432 bytes of package databases");
    let trailing = io::Cursor::new(archive(&[("a", b"x")])).chain(io::repeat(0));
    let limits = Limits {
        content: 1 << 20,
        ..Limits::default()
    };
    insta::assert_snapshot!(read(trailing, wanted, &limits, &mut Used::default()).unwrap_err(), @"the archive has more than 1048576 bytes after its end");
}

#[test]
fn digest_and_size_are_those_of_all_bytes() {
    let mut bytes = archive(&[("a", b"x")]);
    bytes.extend([0; 7]);
    let table = parse(&bytes).unwrap();
    assert_eq!(table.size, bytes.len() as u64);
    assert_eq!(
        table.diff_id.as_str(),
        format!("sha256:{}", hex(&Sha256::digest(&bytes)))
    );
    assert!(!parse(&[]).unwrap().whole, "a stream of nothing");
    assert!(matches!(parse(&[0x41; 4096]), Err(LayerError::Read(_))));
}

#[test]
fn a_table_survives_storing() {
    let table = parse(&archive(&[
        ("etc/os-release", b"ID=\xff"),
        ("b", b"=> etc/os-release"),
        ("l", b"-> b"),
        (".wh.x", b""),
    ]))
    .unwrap();
    let json = serde_json::to_vec(&table).unwrap();
    assert_eq!(serde_json::from_slice::<LayerTable>(&json).unwrap(), table);
}

proptest! {
    #[test]
    fn damage_never_panics(at in 0usize..4096, byte: u8) {
        let mut bytes = archive(&[("a", b"hello"), ("etc/shadow", b"r:x:1:\n"), ("b", b"=> a"), (".wh.c", b"")]);
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = parse(&bytes);
    }

    #[test]
    fn nothing_lies_outside(names in prop::collection::vec("[a./]{1,6}", 1..6), targets in prop::collection::vec("[a./]{1,6}", 6)) {
        let mut builder = Archive::new(Vec::new());
        for (n, (name, target)) in names.iter().zip(&targets).enumerate() {
            let mut entry = header(name, if n % 2 == 0 { EntryType::Symlink } else { EntryType::Regular }, 0);
            if n % 2 == 0 {
                entry.set_link_name_literal(target.as_bytes()).unwrap();
                entry.set_cksum();
            }
            builder.append(&entry, &b""[..]).unwrap();
        }
        if let Ok(table) = parse(&builder.into_inner().unwrap()) {
            for path in table.entries.keys() {
                prop_assert!(path.split('/').all(|part| !part.is_empty() && part != ".." && part != "."), "{}", path);
            }
        }
    }
}
