//! The stored format of a package state. `outdated --all` reads one for every app, so decoding has to be cheap compared with judging.
//!
//! Layout: one byte for the format version, then an LZ4 block preceded by its unpacked size (u32, little endian). The block contains the
//! length of the header (u32, little endian), the header (JSON), and the contents of all files.

use lowtide_model::package_state::PackageState;
use lz4_flex::block::{compress_prepend_size, decompress_into};

/// The format version. Raise it with every incompatible change.
pub const FORM: u8 = 1;
/// Unpacked. Ten thousand packages with their keyrings take a tenth of this.
const MAX_BYTES: usize = 256 << 20;

/// # Errors
/// In words, when it is larger than [`unpack`] accepts.
pub fn pack(state: &PackageState) -> Result<Vec<u8>, String> {
    let sizes: Vec<(&String, usize)> = state.files.iter().map(|(path, file)| (path, file.len())).collect();
    let head = serde_json::to_vec(&(sizes, state)).map_err(|e| e.to_string())?;
    let length = u32::try_from(head.len()).map_err(|_| "its head is too large".to_owned())?;
    let mut whole = Vec::with_capacity(4 + head.len() + state.files.values().map(Vec::len).sum::<usize>());
    whole.extend(length.to_le_bytes());
    whole.extend(head);
    for file in state.files.values() {
        whole.extend(file);
    }
    if whole.len() > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes"));
    }
    let mut packed = vec![FORM];
    packed.extend(compress_prepend_size(&whole));
    Ok(packed)
}

/// # Errors
/// In words, when it is not what [`pack`] made.
pub fn unpack(packed: &[u8]) -> Result<PackageState, String> {
    let short = || "it is cut short".to_owned();
    let (form, block) = packed.split_first().ok_or_else(short)?;
    if *form != FORM {
        return Err(format!("its form is {form}, and this is form {FORM}"));
    }
    let (size, block) = block.split_first_chunk().ok_or_else(short)?;
    let size = u32::from_le_bytes(*size) as usize;
    if size > MAX_BYTES {
        return Err(format!("it says it has more than {MAX_BYTES} bytes"));
    }
    let mut whole = vec![0; size];
    let filled = decompress_into(block, &mut whole).map_err(|e| e.to_string())?;
    let whole = whole.get(..filled).ok_or_else(short)?;
    let (length, rest) = whole.split_first_chunk().ok_or_else(short)?;
    let (head, mut rest) = rest
        .split_at_checked(u32::from_le_bytes(*length) as usize)
        .ok_or_else(short)?;
    let (sizes, mut state): (Vec<(String, usize)>, PackageState) =
        serde_json::from_slice(head).map_err(|e| e.to_string())?;
    for (path, size) in sizes {
        let (file, after) = rest.split_at_checked(size).ok_or_else(short)?;
        state.files.insert(path, file.to_vec());
        rest = after;
    }
    if rest.is_empty() {
        Ok(state)
    } else {
        Err("there is something after its last file".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::package_state::Lineage;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn state(files: BTreeMap<String, Vec<u8>>) -> PackageState {
        PackageState {
            files,
            uncaptured: vec![],
            layers: BTreeMap::from([("a:amd64".to_owned(), 3)]),
            lineage: Lineage::Base {
                reference: "debian:12".to_owned(),
                layers: 1,
                triggers: false,
            },
            doing: None,
        }
    }

    proptest! {
        #[test]
        fn any_files_come_back_as_they_were(
            files in proptest::collection::btree_map("[a-z/]{1,9}", proptest::collection::vec(any::<u8>(), 0..99), 0..9)
        ) {
            let state = state(files);
            prop_assert_eq!(unpack(&pack(&state).unwrap()), Ok(state));
        }

        #[test]
        fn other_bytes_are_refused_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack(&[&[FORM], bytes.as_slice()].concat());
        }
    }

    #[test]
    fn what_is_cut_or_of_another_form_is_refused() {
        let text = "Package: a\nVersion: 1\n\n".repeat(100).into_bytes();
        let packed = pack(&state(BTreeMap::from([("var/lib/dpkg/status".to_owned(), text)]))).unwrap();
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end]).is_err(), "cut at {end}");
        }
        let mut other = packed.clone();
        other[0] = FORM + 1;
        assert_eq!(unpack(&other), Err("its form is 2, and this is form 1".to_owned()));
        // A block that claims gigabytes is refused before memory is allocated.
        let mut large = packed;
        large[4] = 0xff;
        assert!(unpack(&large).unwrap_err().contains("more than"));
    }
}
