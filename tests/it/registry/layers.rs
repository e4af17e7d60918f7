use super::fakes::serve;
use super::*;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::any;
use flate2::Compression;
use flate2::write::GzEncoder;
use lowtide::packages::diff;
use lowtide::runtime::inventory::error::ReadError;
use lowtide::runtime::inventory::registry as from_registry;
use lowtide::runtime::inventory::seen::Seen;
use lowtide::runtime::inventory::tables::Tables;
use lowtide::store::layer_cache::LayerCache;
use std::io::Write as _;

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, path, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// Puts an image of these layers, as stored and as the config names them.
async fn put(images: &Images, tag: &str, layers: &[(&[u8], &[u8])]) -> ServedDigest {
    let diff_ids: Vec<ServedDigest> = layers.iter().map(|(_, plain)| digest_of(plain)).collect();
    let config = serde_json::json!({
        "os": "linux", "architecture": "amd64", "config": { "Cmd": ["x"] }, "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let mut blobs = Vec::new();
    for (stored, _) in layers {
        blobs.push(images.blob(stored).await);
    }
    let config = images.blob(config.to_string().as_bytes()).await;
    let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": blobs });
    images.manifest(tag, MANIFEST, &manifest).await
}

async fn read(registry: &Registry, reference: &Reference, tables: &Tables) -> Result<Seen, ReadError> {
    let remote = registry.image(reference, &amd64()).await?;
    from_registry::read(registry, reference, &remote, tables).await
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_or_not_the_content_is_the_same() {
    let images = Images::new().await;
    let status = b"Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n";
    let base = tar(&[
        ("var/lib/dpkg/status", status),
        ("srv/gone", b"1"),
        ("srv/large", &[7; 1 << 20]),
    ]);
    let top = tar(&[("srv/.wh.gone", b""), ("srv/new", b"22")]);
    let mut seen = Vec::new();
    for (tag, packed) in [
        ("plain", [base.clone(), top.clone()]),
        ("gzip", [gzip(&base), gzip(&top)]),
        ("zstd", [zstd(&base), zstd(&top)]),
        ("mixed", [gzip(&base), zstd(&top)]),
    ] {
        put(&images, tag, &[(&packed[0], &base), (&packed[1], &top)]).await;
        let read = read(&anonymous(), &tagged(&images.repository, tag), &Tables::none()).await;
        seen.push(read.unwrap().inventory);
    }
    for inventory in &seen {
        assert_eq!(diff::content(inventory), diff::content(&seen[0]));
        assert_eq!(inventory.layers, seen[0].layers);
    }
    let files: Vec<&str> = seen[0]
        .files
        .keys()
        .map(String::as_str)
        .filter(|p| p.starts_with("srv"))
        .collect();
    assert_eq!(files, ["srv", "srv/large", "srv/new"]);
    assert_eq!((seen[0].packages.len(), seen[0].packages[0].layer), (1, Some(0)));
    assert_eq!(seen[0].config.cmd, ["x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_base_is_fetched_once() {
    let images = Images::new().await;
    let base = tar(&[("base", &[7; 100_000])]);
    let tops = [tar(&[("a", b"1")]), tar(&[("b", b"1")])];
    for (tag, top) in ["a", "b"].into_iter().zip(&tops) {
        put(&images, tag, &[(&gzip(&base), &base), (&gzip(top), top)]).await;
    }
    let proxy = super::fakes::Recorder::of(open()).await;
    let through: Repository = format!("{}/{}", proxy.address, images.repository.path).parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::new(LayerCache::new(dir.path().to_owned()));
    let blob = format!("/blobs/{} ", digest_of(&gzip(&base)));
    for (tag, fetched) in [("a", 1), ("b", 0), ("a", 0)] {
        let seen = read(&anonymous(), &tagged(&through, tag), &tables).await.unwrap();
        assert!(seen.inventory.files.contains_key(tag) && seen.inventory.files.contains_key("base"));
        let requests = proxy.take();
        assert_eq!(
            requests.iter().filter(|line| line.contains(&blob)).count(),
            fetched,
            "{tag}: {requests:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_that_are_not_what_they_should_be_are_named() {
    let images = Images::new().await;
    let (layer, other) = (tar(&[("a", b"1")]), tar(&[("a", b"2")]));
    let packed = gzip(&layer);
    let hostile = tar(&[("a/.wh..", b"")]);
    let said = async |tag: &str, stored: &[u8], plain: &[u8]| {
        put(&images, tag, &[(stored, plain)]).await;
        let error = read(&anonymous(), &tagged(&images.repository, tag), &Tables::none())
            .await
            .unwrap_err();
        let mut text = error
            .to_string()
            .replace(&images.repository.path, "REPO")
            .replace(&open(), "OPEN");
        for (bytes, name) in [(&layer[..], "LAYER"), (&other, "OTHER"), (stored, "STORED")] {
            text = text.replace(digest_of(bytes).as_str(), name);
        }
        text
    };
    let table = [
        said("other", &packed, &other).await,
        said("cut", &packed[..packed.len() - 9], &layer).await,
        said("half", &layer[..700], &layer).await,
        said("hostile", &hostile, &hostile).await,
    ];
    insta::assert_snapshot!(table.join("\n"), @r#"
    OPEN/REPO:other: layer STORED unpacked is LAYER, not OTHER
    OPEN/REPO:cut: the archive cannot be read
    OPEN/REPO:half: the archive ends too early
    OPEN/REPO:hostile: the archive has the name "a/.wh..", which leaves its root
    "#);
}

/// The open registry, but the blob is served as `bytes` say.
async fn serving(digest: &ServedDigest, bytes: Vec<u8>) -> String {
    let wanted = format!("/blobs/{digest}");
    let upstream = open();
    let client = reqwest::Client::new();
    let serve_blob = move |request: Request| {
        let (wanted, bytes, upstream, client) = (wanted.clone(), bytes.clone(), upstream.clone(), client.clone());
        async move {
            let path = request.uri().path().to_owned();
            if path.ends_with(&wanted) {
                return (StatusCode::OK, bytes).into_response();
            }
            let sent = client
                .get(format!("http://{upstream}{path}"))
                .headers(request.headers().clone());
            let sent = sent.send().await.unwrap();
            let (status, headers) = (sent.status(), sent.headers().clone());
            (status, headers, sent.bytes().await.unwrap()).into_response()
        }
    };
    serve(Router::new().fallback(any(serve_blob))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn content_under_a_wrong_digest_is_refused() {
    let images = Images::new().await;
    let layer = tar(&[("a", b"1")]);
    put(&images, "t", &[(&layer, &layer)]).await;
    // The same but for one byte of a file, and the same with more behind it.
    let mut forged = layer.clone();
    forged[512] = b'2';
    let longer = [layer.clone(), vec![0; 512]].concat();
    for bytes in [forged, longer] {
        let address = serving(&digest_of(&layer), bytes).await;
        let through: Repository = format!("{address}/{}", images.repository.path).parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let tables = Tables::new(LayerCache::new(dir.path().to_owned()));
        let error = read(&anonymous(), &tagged(&through, "t"), &tables).await.unwrap_err();
        assert!(
            matches!(&error, ReadError::Registry(RegistryError::Mismatch { expected, .. }) if *expected == digest_of(&layer).to_string()),
            "{error:?}"
        );
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            0,
            "nothing of it is kept"
        );
    }
}
