//! Tags and labels of a candidate. Keys: OCI image-spec, annotations.md, "Pre-Defined Annotation Keys".

use crate::fleet::app::App;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lowtide_model::image::Repository;
use lowtide_model::name::RunId;
use lowtide_model::stages::resolve::{BasePin, Commit, Resolved};
use std::collections::BTreeMap;

/// Label that names the app an image or container was made for.
pub const APP: &str = "io.lowtide.app";
/// Label that names the run.
pub const RUN: &str = "io.lowtide.run";

/// The immutable tag of the coming release, from the app's template. `{date}` is the day in the app's zone.
#[must_use]
pub fn release_tag(app: &App, run: RunId, commit: &Commit, now: Timestamp) -> String {
    let template = app.publish.as_ref().map_or("{date}.{run}-{commit}", |p| p.tag.as_str());
    let zone = TimeZone::get(&app.timezone).unwrap_or(TimeZone::UTC);
    let branch = match &app.source().git_ref {
        lowtide_model::policy::GitRef::Head => "head",
        lowtide_model::policy::GitRef::Branch(name) | lowtide_model::policy::GitRef::Tag(name) => name.as_str(),
        lowtide_model::policy::GitRef::Commit(_) => "commit",
    };
    let tag = template
        .replace("{date}", &now.to_zoned(zone).strftime("%Y%m%d").to_string())
        .replace("{run}", &run.short())
        .replace("{commit}", commit.short())
        .replace("{branch}", branch)
        .replace("{app}", app.name.as_str());
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
    resolved: &Resolved,
    version: &str,
    now: Timestamp,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut set = |key: &str, value: &str| labels.insert(key.to_owned(), value.to_owned());
    set("org.opencontainers.image.created", &now.to_string());
    set("org.opencontainers.image.revision", &resolved.commit.id);
    set("org.opencontainers.image.source", &app.source().repo);
    set("org.opencontainers.image.version", version);
    set("org.opencontainers.image.title", app.name.as_str());
    // The last base is the one the final stage stands on when stages are listed in file order.
    if let Some(base) = resolved.bases.last() {
        set("org.opencontainers.image.base.name", &base.reference.to_string());
        if let BasePin::Registry { served, .. } = &base.pin {
            set("org.opencontainers.image.base.digest", served.as_str());
        }
    }
    if app.build().label_schema {
        set("org.label-schema.schema-version", "1.0");
        set("org.label-schema.build-date", &now.to_string());
        set("org.label-schema.vcs-ref", &resolved.commit.id);
        set("org.label-schema.vcs-url", &app.source().repo);
        set("org.label-schema.version", version);
        set("org.label-schema.name", app.name.as_str());
    }
    set(APP, app.name.as_str());
    set(RUN, &run.to_string());
    labels.extend(app.build().labels.clone());
    labels
}
