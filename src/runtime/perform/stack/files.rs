//! Files of the commit, and those that a stack makes up, in the containers of a test. No path of a host is mounted for them: a folder
//! becomes a volume that goes with the test, a file is put in before the start.

use super::tree::{self, Found};
use crate::clients::engine::container::Kind;
use crate::clients::engine::context::{Context, Limits, Verdict};
use crate::clients::engine::network::NewVolume;
use crate::clients::engine::spec::{Attach, Mount, MountSource, Spec};
use crate::clients::engine::upload::Upload;
use crate::runtime::perform::build::aside;
use crate::runtime::perform::environment::{Stop, TestEnvironment};
use crate::runtime::perform::launch::unique;
use crate::runtime::perform::run::built;
use lowtide_compose::mounts::{Content, Source};
use lowtide_compose::service::Service;
use lowtide_compose::stack::Stack;
use lowtide_model::failure::{Failure, FailureKind};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Bytes of one file that is put into a container. Larger ones are better in a folder, which is streamed.
pub(super) const MAX_FILE: u64 = 64 << 20;
/// Where a stack's secrets are, unless a service says otherwise.
const SECRETS: &str = "/run/secrets/";
/// Where the helper that fills volumes has them.
const FILL: &str = "/lowtide";

/// What the files of a stack became.
#[derive(Default)]
pub(in crate::runtime::perform) struct StackFiles {
    /// Folder of the commit → volume.
    folders: BTreeMap<String, String>,
    /// Service → files to put in.
    uploads: BTreeMap<String, Vec<Upload>>,
    /// Volume of the project → volume of the engine.
    volumes: BTreeMap<String, String>,
    /// What a reader of the log should know.
    pub(in crate::runtime::perform) notes: Vec<String>,
}

/// Makes and fills all volumes of a stack, and reads the files that its services are given.
///
/// # Errors
/// `ComposeRefused` for a file that cannot be had, or as the engine or our own disk fails.
pub(in crate::runtime::perform) async fn prepare(
    environment: &TestEnvironment<'_>,
    stack: &Stack,
    tree: Option<&Path>,
    candidate: &str,
) -> Result<StackFiles, Stop> {
    let (read_stack, root) = (stack.clone(), tree.map(Path::to_owned));
    let Read {
        folders,
        uploads,
        notes,
    } = aside(move || read(&read_stack, root.as_deref())).await?;
    let mut files = StackFiles {
        uploads,
        notes,
        ..StackFiles::default()
    };
    // Named as a file in /run/secrets is, a value is a secret.
    let texts = files.uploads.values().flatten();
    let texts = texts.filter_map(|file| Some((file.path.clone(), String::from_utf8(file.bytes.clone()).ok()?)));
    let texts: Vec<(String, String)> = texts.filter(|(path, _)| path.starts_with(SECRETS)).collect();
    environment.hidden.learn(texts.iter().map(|(path, text)| (path, text)));
    for (name, volume) in &stack.volumes {
        let own = unique(environment, name);
        make(environment, &own, volume.driver.as_deref(), &volume.options).await?;
        files.volumes.insert(name.clone(), own);
    }
    for name in folders.keys() {
        let own = unique(environment, "files");
        make(environment, &own, None, &BTreeMap::new()).await?;
        files.folders.insert(name.clone(), own);
    }
    fill(environment, &files.folders, folders, candidate).await?;
    Ok(files)
}

/// Can every file of the stack be had? Blocks.
///
/// # Errors
/// As [`prepare`], without an engine.
pub(super) fn check(stack: &Stack, tree: &Path) -> Result<(), Failure> {
    read(stack, Some(tree)).map(drop)
}

impl StackFiles {
    /// The mounts of a service's container.
    pub(in crate::runtime::perform) fn mounts(&self, service: &Service) -> Vec<Mount> {
        let own = |name: &String, copies| MountSource::Volume {
            name: name.clone(),
            copies,
        };
        let mount = |mount: &lowtide_compose::mounts::Mount| {
            let source = match &mount.source {
                Source::Anonymous => MountSource::Anonymous,
                Source::Volume(name) => own(self.volumes.get(name)?, true),
                // A file has none: it is put in.
                Source::Repository(path) => own(self.folders.get(path)?, false),
                Source::Memory { options } => MountSource::Memory {
                    options: options.clone(),
                },
                Source::Host { kind, name } if *kind == "volume" => own(name, true),
                Source::Host { name, .. } => MountSource::Host { path: name.clone() },
            };
            Some(Mount {
                target: mount.target.clone(),
                read_only: mount.read_only,
                source,
            })
        };
        service.mounts.iter().filter_map(mount).collect()
    }

    /// The files of a service that are put into its own container, and those that need volumes of their own, which are made and filled
    /// here: an engine puts nothing below a read-only root, and what it puts below a mount in memory is hidden by it.
    pub(in crate::runtime::perform) async fn place(
        &self,
        environment: &TestEnvironment<'_>,
        service: &Service,
        spec: &mut Spec,
    ) -> Result<Vec<Upload>, Stop> {
        let root = spec
            .settings
            .get("HostConfig")
            .and_then(|host| host.get("ReadonlyRootfs"));
        let read_only = root.is_some_and(|value| value == true);
        let all = self.uploads.get(&service.name).cloned().unwrap_or_default();
        let (in_volumes, direct): (Vec<Upload>, Vec<Upload>) = all
            .into_iter()
            .partition(|file| needs_volume(&spec.mounts, read_only, &file.path));
        if in_volumes.is_empty() {
            return Ok(direct);
        }
        let mut folders: BTreeSet<&str> = BTreeSet::new();
        for file in &in_volumes {
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let covered = covering(&spec.mounts, &file.path);
            match covered.map(|mount| &mount.source) {
                Some(MountSource::Volume { .. }) => continue,
                Some(MountSource::Host { .. }) => return Err(no_place(service, &file.path)),
                Some(MountSource::Anonymous | MountSource::Memory { .. }) | None => {}
            }
            if folder.is_empty() || spec.mounts.iter().any(|mount| mount.target == folder) {
                return Err(no_place(service, &file.path));
            }
            folders.insert(folder);
        }
        for folder in folders {
            let name = unique(environment, "files");
            make(environment, &name, None, &BTreeMap::new()).await?;
            spec.mounts.push(Mount {
                target: folder.to_owned(),
                read_only: false,
                source: MountSource::Volume { name, copies: true },
            });
        }
        let volumes = spec
            .mounts
            .iter()
            .filter(|mount| matches!(mount.source, MountSource::Volume { .. }));
        let writable = volumes.map(|mount| Mount {
            read_only: false,
            ..mount.clone()
        });
        let helper = helper(environment, &spec.image, writable.collect()).await?;
        let done = environment.engine.upload_files(&helper, &in_volumes).await;
        environment.engine.remove_own(&helper).await?;
        done?;
        Ok(direct)
    }
}

fn no_place(service: &Service, path: &str) -> Stop {
    let detail = format!(
        "services.{}: {path} cannot be put into a container whose root is read-only or that has something mounted there",
        service.name
    );
    Failure::new(FailureKind::ComposeRefused, detail).into()
}

/// The innermost mount that a path is below.
fn covering<'a>(mounts: &'a [Mount], path: &str) -> Option<&'a Mount> {
    let covers = |mount: &&Mount| {
        let target = mount.target.trim_end_matches('/');
        path.strip_prefix(target).is_some_and(|rest| rest.starts_with('/'))
    };
    mounts.iter().filter(covers).max_by_key(|mount| mount.target.len())
}

fn needs_volume(mounts: &[Mount], read_only_root: bool, path: &str) -> bool {
    match covering(mounts, path) {
        None => read_only_root,
        Some(mount) => match mount.source {
            MountSource::Memory { .. } | MountSource::Host { .. } => true,
            MountSource::Anonymous | MountSource::Volume { .. } => mount.read_only || read_only_root,
        },
    }
}

struct Read {
    /// Folder of the commit, and where it is; `None`: it is not there, and is an empty one, as Compose makes it.
    folders: BTreeMap<String, Option<PathBuf>>,
    uploads: BTreeMap<String, Vec<Upload>>,
    notes: Vec<String>,
}

/// Reads the files that the services of a stack are given. Blocks.
fn read(stack: &Stack, tree: Option<&Path>) -> Result<Read, Failure> {
    let mut out = Read {
        folders: BTreeMap::new(),
        uploads: BTreeMap::new(),
        notes: Vec::new(),
    };
    for service in stack.services() {
        let mut uploads = Vec::new();
        for mount in &service.mounts {
            let (Source::Repository(path), Some(tree)) = (&mount.source, tree) else {
                continue;
            };
            match tree::find(tree, path)? {
                Found::Folder(real) => drop(out.folders.insert(path.clone(), Some(real))),
                Found::Nothing => {
                    out.notes.push(format!(
                        "services.{}: ./{path} is not in the commit and is an empty folder",
                        service.name
                    ));
                    out.folders.insert(path.clone(), None);
                }
                Found::File(_) => {
                    if mount.read_only {
                        out.notes.push(format!(
                            "services.{}: {} is a copy that the container can change",
                            service.name, mount.target
                        ));
                    }
                    uploads.push(as_committed(tree, path, &mount.target)?);
                }
            }
        }
        for file in &service.files {
            let found = match (&file.content, tree) {
                (Content::Text(text), _) => Upload {
                    path: file.target.clone(),
                    mode: 0,
                    uid: 0,
                    gid: 0,
                    bytes: text.clone().into_bytes(),
                },
                (Content::Repository(path), Some(tree)) => upload(tree, path, &file.target)?,
                (Content::Repository(_), None) => continue,
            };
            uploads.push(Upload {
                mode: file.mode,
                uid: file.uid,
                gid: file.gid,
                ..found
            });
        }
        if !uploads.is_empty() {
            out.uploads.insert(service.name.clone(), uploads);
        }
    }
    Ok(out)
}

/// A file with the mode that git knows. Blocks.
pub(super) fn as_committed(tree: &Path, path: &str, target: &str) -> Result<Upload, Failure> {
    let upload = upload(tree, path, target)?;
    match tree::find(tree, path)? {
        Found::File(real) => Ok(Upload {
            mode: mode(&real)?,
            ..upload
        }),
        Found::Folder(_) | Found::Nothing => Ok(upload),
    }
}

fn upload(tree: &Path, path: &str, target: &str) -> Result<Upload, Failure> {
    let refused = |why: String| Failure::new(FailureKind::ComposeRefused, why);
    let bytes = tree::bytes(tree, path, MAX_FILE)?;
    let bytes = bytes.ok_or_else(|| refused(format!("./{path}, for {target}, is not in the commit")))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(refused(format!(
            "./{path}, for {target}, has more than {} MiB; mount its folder",
            MAX_FILE >> 20
        )));
    }
    Ok(Upload {
        path: target.to_owned(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        bytes,
    })
}

/// As git knows it: executable or not.
fn mode(file: &Path) -> Result<u32, Failure> {
    let mode = file
        .metadata()
        .map_err(|e| Failure::local(file.display(), &e))?
        .permissions()
        .mode();
    Ok(if mode & 0o100 == 0 { 0o644 } else { 0o755 })
}

async fn make(
    environment: &TestEnvironment<'_>,
    name: &str,
    driver: Option<&str>,
    options: &BTreeMap<String, String>,
) -> Result<(), Stop> {
    environment.go_on()?;
    let volume = NewVolume {
        name,
        driver,
        options,
        labels: environment.labels,
    };
    Ok(environment.engine.create_volume(&volume).await?)
}

/// A container that never runs: it is there to be written into.
async fn helper(environment: &TestEnvironment<'_>, image: &str, mounts: Vec<Mount>) -> Result<String, Stop> {
    environment.go_on()?;
    let spec = Spec {
        name: Some(unique(environment, "fill")),
        image: image.to_owned(),
        kind: Kind::Sidecar,
        labels: environment.labels.clone(),
        env: BTreeMap::new(),
        entrypoint: Some(vec!["never".to_owned()]),
        command: None,
        health: None,
        start_period: None,
        attach: Attach::Mode("none"),
        limits: environment.limits(),
        mounts,
        platform: None,
        settings: serde_json::Map::new(),
    };
    Ok(environment.engine.create_own(&spec).await?)
}

async fn fill(
    environment: &TestEnvironment<'_>,
    volumes: &BTreeMap<String, String>,
    folders: BTreeMap<String, Option<PathBuf>>,
    candidate: &str,
) -> Result<(), Stop> {
    let folders: Vec<(PathBuf, &String)> = folders
        .into_iter()
        .filter_map(|(path, real)| Some((real?, volumes.get(&path)?)))
        .collect();
    if folders.is_empty() {
        return Ok(());
    }
    let mount = |(n, (_, name)): (usize, &(PathBuf, &String))| Mount {
        target: format!("{FILL}/{n}"),
        read_only: false,
        source: MountSource::Volume {
            name: (*name).clone(),
            copies: false,
        },
    };
    let helper = helper(environment, candidate, folders.iter().enumerate().map(mount).collect()).await?;
    let limit = built(environment.app)?.0.max_size;
    for (n, (real, _)) in folders.into_iter().enumerate() {
        let scanned = aside(move || {
            let limits = Limits {
                bytes: limit,
                ..Limits::default()
            };
            Context::scan(&real, &|_, _| Verdict::Include, &[], &[], 0, limits).map_err(|e| e.failure())
        });
        let content = scanned.await?;
        let path = format!("{FILL}/{n}");
        let sent = environment.engine.upload_folder(&helper, &path, content);
        environment.unless_cancelled(sent).await??;
    }
    Ok(environment.engine.remove_own(&helper).await?)
}
