//! Tags and labels of a candidate. Keys: OCI image-spec, annotations.md, "Pre-Defined Annotation Keys".

use crate::fleet::app::App;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lowtide_model::defaults;
use lowtide_model::image::Repository;
use lowtide_model::name::RunId;
use lowtide_model::policy::{GitRef, ImageOrigin};
use lowtide_model::stages::pull::ListedImage;
use lowtide_model::stages::resolve::{BasePin, Commit, ResolvedRepository};
use std::collections::BTreeMap;

/// Label that names the app an image or container was made for.
pub const APP: &str = "io.lowtide.app";
/// Label that names the run.
pub const RUN: &str = "io.lowtide.run";

/// The immutable tag of the coming release, from the app's template. `{date}` is the day in the app's zone.
#[must_use]
pub fn release_tag(app: &App, run: RunId, commit: &Commit, now: Timestamp) -> String {
    let branch = match app.source().map(|source| &source.git_ref) {
        Some(GitRef::Branch(name) | GitRef::Tag(name)) => name.as_str(),
        Some(GitRef::Commit(_)) => "commit",
        Some(GitRef::Head) | None => "head",
    };
    filled(app, run, &[("{commit}", commit.short()), ("{branch}", branch)], now)
}

/// As [`release_tag`], of an image that others built: their tag may move, so its digest is in ours.
#[must_use]
pub fn followed_tag(app: &App, run: RunId, image: &ListedImage, now: Timestamp) -> String {
    let digest = image.manifest.short();
    filled(app, run, &[("{tag}", &image.tag), ("{digest}", digest)], now)
}

fn filled(app: &App, run: RunId, own: &[(&str, &str)], now: Timestamp) -> String {
    let default = match app.origin {
        ImageOrigin::Built { .. } => defaults::TAG,
        ImageOrigin::Followed(_) => defaults::FOLLOWED_TAG,
    };
    let template = app.publish.as_ref().map_or(default, |p| p.tag.as_str());
    let zone = TimeZone::get(&app.timezone).unwrap_or(TimeZone::UTC);
    let mut tag = template
        .replace("{date}", &now.to_zoned(zone).strftime("%Y%m%d").to_string())
        .replace("{run}", &run.short())
        .replace("{app}", app.name.as_str());
    for (name, value) in own {
        tag = tag.replace(name, value);
    }
    // A branch may hold characters a tag may not (OCI distribution-spec, "tag").
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() || "_.-".contains(c) {
            c
        } else {
            '-'
        }
    };
    let tag: String = tag.chars().map(legal).take(128).collect();
    tag.trim_start_matches(['.', '-']).to_owned()
}

/// Repository of images that stay in the engine's store. Not a registry anyone can push to by accident.
#[must_use]
pub fn local_repository(app: &App) -> Repository {
    Repository {
        registry: "docker.io".to_owned(),
        path: format!("lowtide/{}", app.name),
    }
}

/// Labels of the candidate: the OCI keys, those from the configuration, and lowtide's own, by which the image is found
/// again.
#[must_use]
pub fn image_labels(
    app: &App,
    run: RunId,
    resolved: &ResolvedRepository,
    version: &str,
    now: Timestamp,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut set = |key: &str, value: &str| labels.insert(key.to_owned(), value.to_owned());
    set("org.opencontainers.image.created", &now.to_string());
    set("org.opencontainers.image.revision", &resolved.commit.id);
    let repo = app.source().map_or("", |source| source.repo.as_str());
    set("org.opencontainers.image.source", repo);
    set("org.opencontainers.image.version", version);
    set("org.opencontainers.image.title", app.name.as_str());
    // The last base is the one the final stage stands on when stages are listed in file order.
    if let Some(base) = resolved.bases.last() {
        set("org.opencontainers.image.base.name", &base.reference.to_string());
        if let BasePin::Registry { served, .. } = &base.pin {
            set("org.opencontainers.image.base.digest", served.as_str());
        }
    }
    let build = app.build();
    if build.is_some_and(|build| build.label_schema) {
        set("org.label-schema.schema-version", "1.0");
        set("org.label-schema.build-date", &now.to_string());
        set("org.label-schema.vcs-ref", &resolved.commit.id);
        set("org.label-schema.vcs-url", repo);
        set("org.label-schema.version", version);
        set("org.label-schema.name", app.name.as_str());
    }
    set(APP, app.name.as_str());
    set(RUN, &run.to_string());
    labels.extend(build.map(|build| build.labels.clone()).unwrap_or_default());
    labels
}
