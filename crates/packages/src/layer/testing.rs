//! Archives for tests.

use tar::{Builder, EntryType, Header};

pub(crate) type Archive = Builder<Vec<u8>>;

pub(crate) fn header(path: &str, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(if kind.is_dir() { 0o755 } else { 0o100_644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_cksum();
    header
}

/// Files with their content; a name that ends in `/` is a directory, content `-> x` a symbolic link, `=> x` a hard link.
pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Archive::new(Vec::new());
    for (path, bytes) in files {
        add(&mut builder, path, bytes);
    }
    builder.into_inner().unwrap()
}

pub(crate) fn add(builder: &mut Archive, path: &str, bytes: &[u8]) {
    let link = |kind, target: &[u8]| {
        let mut header = header(path, kind, 0);
        header.set_link_name_literal(target).unwrap();
        header.set_cksum();
        header
    };
    let (header, bytes) = if path.ends_with('/') {
        (header(path, EntryType::Directory, 0), &b""[..])
    } else if let Some(target) = bytes.strip_prefix(b"-> ") {
        (link(EntryType::Symlink, target), &b""[..])
    } else if let Some(target) = bytes.strip_prefix(b"=> ") {
        (link(EntryType::Link, target), &b""[..])
    } else {
        (header(path, EntryType::Regular, bytes.len() as u64), bytes)
    };
    builder.append(&header, bytes).unwrap();
}
