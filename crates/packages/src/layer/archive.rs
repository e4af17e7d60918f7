//! An image as an engine saves it: one tar stream with all layers (`docker save`; moby, image specification 1.2), on
//! newer engines also an OCI image layout. The manifest, which identifies the layers, comes last, so each layer is
//! turned into a table while it is read.

use super::error::LayerError;
use super::links;
use super::name::normalised;
use super::read::read;
use super::table::{LayerTable, Limits, Used};
use super::unpack::{is_packed, unpacked};
use super::wanted::Wanted;
use crate::image::{self, ImageDocument};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{Cursor, Read};

/// Entries of such an archive: some per layer.
const ENTRIES: u64 = 10_000;
/// Bytes of all its documents. A config with a long history is some hundred kilobytes.
const DOCUMENTS: u64 = 16 << 20;
/// A tar block. No uncompressed layer is smaller, and its first block identifies it as a tar archive.
const BLOCK: usize = 512;

/// A saved image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    pub document: ImageDocument,
    /// Base first; as many as the document has diff ids, and with those.
    pub layers: Vec<LayerTable>,
}

/// Reads a saved image. `limits` are for all its layers together.
///
/// # Errors
/// `Document` when it is not one image; `Mismatch` when a layer is not what the config says; else as [`read`].
pub fn read_saved(tar: impl Read, wanted: &Wanted, limits: &Limits) -> Result<Saved, LayerError> {
    let mut contents = Contents::default();
    let mut used = Used::default();
    let (mut count, mut documents) = (0, 0);
    for entry in tar::Archive::new(tar).entries().map_err(LayerError::Read)? {
        let mut entry = entry.map_err(LayerError::Read)?;
        count += 1;
        LayerError::bounded("entries", count, ENTRIES)?;
        let path = normalised(&entry.path_bytes())?;
        let kind = entry.header().entry_type();
        if let Some(target) = entry.link_name_bytes().filter(|_| kind.is_symlink()) {
            contents
                .links
                .insert(path, String::from_utf8_lossy(&target).into_owned());
        } else if kind.is_file() {
            let mut first = Vec::with_capacity(BLOCK);
            entry
                .by_ref()
                .take(BLOCK as u64)
                .read_to_end(&mut first)
                .map_err(LayerError::Read)?;
            if is_document(&first) {
                let mut bytes = first;
                let room = DOCUMENTS + 1 - documents;
                entry.take(room).read_to_end(&mut bytes).map_err(LayerError::Read)?;
                documents += bytes.len() as u64;
                LayerError::bounded("bytes of documents", documents, DOCUMENTS)?;
                contents.documents.insert(path, bytes);
            } else if first.len() == BLOCK || is_packed(&first) {
                let layer = unpacked(Cursor::new(first).chain(entry)).map_err(LayerError::Read)?;
                let table = read(layer, wanted, limits, &mut used)?;
                contents.layers.insert(path, table);
            }
        }
    }
    contents.image()
}

/// Documents are JSON. A layer may begin with any name, but says `ustar` behind it (pax(1), "ustar Interchange Format").
fn is_document(first: &[u8]) -> bool {
    let json = first.trim_ascii_start().first().is_some_and(|b| b"{[".contains(b));
    json && first.get(257..262) != Some(b"ustar")
}

#[derive(Default)]
struct Contents {
    layers: BTreeMap<String, LayerTable>,
    documents: BTreeMap<String, Vec<u8>>,
    /// Docker up to 24 saves a repeated layer as a link to its first copy.
    links: BTreeMap<String, String>,
}

/// An entry of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    config: String,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

const MANIFEST: &str = "manifest.json";

impl Contents {
    fn image(self) -> Result<Saved, LayerError> {
        let unreadable = |document: &str, why: String| LayerError::Document {
            document: document.to_owned(),
            why,
        };
        let manifest = self.documents.get(MANIFEST).map_or(&[][..], Vec::as_slice);
        let manifests: Vec<Manifest> =
            serde_json::from_slice(manifest).map_err(|e| unreadable(MANIFEST, e.to_string()))?;
        let [manifest] = manifests.as_slice() else {
            return Err(unreadable(MANIFEST, format!("it has {} images", manifests.len())));
        };
        let config = self.at(&manifest.config, &self.documents);
        let config = config.ok_or_else(|| unreadable(&manifest.config, "it is missing".to_owned()))?;
        let document = image::parse(config)?;
        let names = manifest.layers.as_deref().unwrap_or_default();
        let mut layers = Vec::with_capacity(names.len());
        for name in names {
            let table = self.at(name, &self.layers);
            layers.push(
                table
                    .ok_or_else(|| unreadable(name, "it is missing".to_owned()))?
                    .clone(),
            );
        }
        check(&document, &layers)?;
        Ok(Saved { document, layers })
    }

    fn at<'a, T>(&self, path: &str, map: &'a BTreeMap<String, T>) -> Option<&'a T> {
        let path = links::resolve(path, true, |p| self.links.get(p).map(String::as_str))?;
        map.get(&path)
    }
}

/// The layers must be those of the config, in its order.
///
/// # Errors
/// `Mismatch`.
pub fn check(document: &ImageDocument, layers: &[LayerTable]) -> Result<(), LayerError> {
    let mismatch = |what: String, expected: String, actual: String| LayerError::Mismatch { what, expected, actual };
    if document.diff_ids.len() != layers.len() {
        let [expected, actual] = [document.diff_ids.len(), layers.len()].map(|n| n.to_string());
        return Err(mismatch("the number of layers".to_owned(), expected, actual));
    }
    for (n, (expected, layer)) in document.diff_ids.iter().zip(layers).enumerate() {
        if *expected != layer.diff_id {
            let what = format!("layer {}", n + 1);
            return Err(mismatch(what, expected.to_string(), layer.diff_id.to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::archive;
    use super::*;
    use crate::hash::hex;
    use sha2::{Digest, Sha256};

    fn id(bytes: &[u8]) -> String {
        hex(&Sha256::digest(bytes))
    }

    fn config(layers: &[&[u8]]) -> Vec<u8> {
        let ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", id(layer))).collect();
        serde_json::json!({ "os": "linux", "architecture": "amd64", "rootfs": { "diff_ids": ids } })
            .to_string()
            .into_bytes()
    }

    fn saved(files: &[(&str, &[u8])]) -> Result<Saved, LayerError> {
        read_saved(archive(files).as_slice(), Wanted::inventory(), &Limits::default())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn both_formats_are_read() {
        let (base, top) = (archive(&[("a", b"1")]), archive(&[("{b", b"2")]));
        let config = config(&[&base, &top, &base]);
        // Docker up to 24: a folder for each layer, and a link where the same comes again.
        let manifest = br#"[{"Config":"c.json","RepoTags":null,"Layers":["1/layer.tar","2/layer.tar","3/layer.tar"]}]"#;
        let old = saved(&[
            ("1/", b""),
            ("1/VERSION", b"1.0"),
            ("1/json", b"{\"id\":\"1\"}"),
            ("1/layer.tar", &base),
            ("2/layer.tar", &top),
            ("3/layer.tar", b"-> ../1/layer.tar"),
            ("c.json", &config),
            ("manifest.json", manifest),
        ])
        .unwrap();
        // Docker 25 and later: blobs named by digest; the store of containerd has them compressed.
        let (packed, packed_top) = (gzip(&base), zstd(&top));
        let blob = |bytes: &[u8]| format!("blobs/sha256/{}", id(bytes));
        let (base_blob, top_blob, config_blob) = (blob(&packed), blob(&packed_top), blob(&config));
        let manifest = serde_json::json!([{ "Config": config_blob, "Layers": [base_blob, top_blob, base_blob] }]);
        // A test's header holds a hundred bytes of name; these fit.
        let new = saved(&[
            (&base_blob, &packed),
            (&top_blob, &packed_top),
            (&config_blob, &config),
            ("index.json", b"{\"schemaVersion\":2}"),
            ("manifest.json", manifest.to_string().as_bytes()),
        ])
        .unwrap();
        assert_eq!(old, new);
        assert_eq!(old.layers.len(), 3);
        assert_eq!(old.layers[1].size, top.len() as u64);
    }

    #[test]
    fn what_is_no_image_is_named() {
        let layer = archive(&[("a", b"1")]);
        let config = config(&[&layer]);
        let other = archive(&[("a", b"2")]);
        let one = br#"[{"Config":"c.json","Layers":["l"]}]"#;
        let said = |files: &[(&str, &[u8])]| saved(files).unwrap_err().to_string();
        insta::assert_snapshot!(said(&[]), @"manifest.json cannot be read: EOF while parsing a value at line 1 column 0");
        insta::assert_snapshot!(said(&[("manifest.json", b"[]")]), @"manifest.json cannot be read: it has 0 images");
        insta::assert_snapshot!(said(&[("manifest.json", one)]), @"c.json cannot be read: it is missing");
        insta::assert_snapshot!(said(&[("manifest.json", one), ("c.json", &config)]), @"l cannot be read: it is missing");
        insta::assert_snapshot!(said(&[("../x", b"")]), @r#"the archive has the name "../x", which leaves its root"#);
        let error = saved(&[("manifest.json", one), ("c.json", &config), ("l", &other)]).unwrap_err();
        assert!(
            matches!(&error, LayerError::Mismatch { what, .. } if what == "layer 1"),
            "{error}"
        );
        let none = br#"[{"Config":"c.json","Layers":null}]"#;
        let error = saved(&[("manifest.json", none), ("c.json", &config)]).unwrap_err();
        insta::assert_snapshot!(error, @"the number of layers is 0, not 1");
    }

    #[test]
    fn limits_are_for_all_layers_together() {
        let layers = [archive(&[("a", b"1"), ("b", b"")]), archive(&[("c", b"1"), ("d", b"")])];
        let limits = Limits {
            entries: 3,
            ..Limits::default()
        };
        let tar = archive(&[("1", &layers[0]), ("2", &layers[1])]);
        let error = read_saved(tar.as_slice(), Wanted::inventory(), &limits).unwrap_err();
        insta::assert_snapshot!(error, @"the archive has more than 3 entries");
    }
}
