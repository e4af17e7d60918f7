use super::super::read::read;
use super::super::table::{Limits, Used};
use super::super::testing::archive;
use super::*;
use proptest::prelude::*;
use std::fmt::Write as _;

type Files<'a> = &'a [(&'a str, &'a [u8])];

fn push(assembly: &mut Assembly, files: Files<'_>) -> Result<(), LayerError> {
    let table = read(
        archive(files).as_slice(),
        Wanted::inventory(),
        &Limits::default(),
        &mut Used::default(),
    )
    .unwrap();
    assembly.push(table)
}

fn assembled(layers: &[Files<'_>]) -> Tree {
    let mut assembly = Assembly::new(&Limits::default());
    for files in layers {
        push(&mut assembly, files).unwrap();
    }
    assembly.finish(Wanted::inventory())
}

fn shown(tree: &Tree) -> String {
    let mut lines = String::new();
    for (path, Located { file, layer }) in &tree.files {
        let kind = match &file.kind {
            FileKind::File { size, .. } => format!("file {size}"),
            FileKind::Directory => "directory".to_owned(),
            FileKind::Symlink { target } => format!("-> {target}"),
            FileKind::Hardlink { target } => format!("=> {target}"),
            FileKind::Device { .. } => "device".to_owned(),
            FileKind::Fifo => "fifo".to_owned(),
        };
        writeln!(lines, "{path} {kind} @{layer}").unwrap();
    }
    lines
}

#[test]
fn upper_layers_add_change_and_hide() {
    let tree = assembled(&[
        &[
            ("a/", b""),
            ("a/old", b"1"),
            ("a/kept", b"22"),
            ("b/x/y", b"1"),
            ("c", b"1"),
            ("d/z", b"1"),
        ],
        &[
            ("a/.wh.old", b""),
            ("a/new", b"333"),
            (".wh.b", b""),
            ("c/", b""),
            ("c/in", b"1"),
            ("d", b"now a file"),
        ],
        &[("a/kept", b"4444"), ("b/back", b"1")],
    ]);
    insta::assert_snapshot!(shown(&tree), @r"
    a directory @0
    a/kept file 4 @2
    a/new file 3 @1
    b directory @2
    b/back file 1 @2
    c directory @1
    c/in file 1 @1
    d file 10 @1
    ");
    assert_eq!(tree.layers.len(), 3);
}

#[test]
fn marks_hide_only_what_is_below() {
    let below: Files<'_> = &[("d/", b""), ("d/a", b"1"), ("d/sub/b", b"1"), ("e", b"1")];
    let upper: Files<'_> = &[("d/new", b"22"), ("d/.wh..wh..opq", b""), ("e", b"22"), (".wh.e", b"")];
    insta::assert_snapshot!(shown(&assembled(&[below, upper])), @r"
    d directory @0
    d/new file 2 @1
    e file 2 @1
    ");
    assert_eq!(shown(&assembled(&[below, &[(".wh..wh..opq", b"")]])), "");
}

#[test]
fn hard_links_are_reported_in_one_way() {
    // Whichever name an archive has first.
    let one: Files<'_> = &[("b.x", b"12"), ("b/x", b"=> b.x"), ("c", b"=> b/x")];
    let other: Files<'_> = &[("c", b"12"), ("b.x", b"=> c"), ("b/x", b"=> c")];
    insta::assert_snapshot!(shown(&assembled(&[one])), @r"
    b directory @0
    b.x => b/x @0
    b/x file 2 @0
    c => b/x @0
    ");
    assert_eq!(assembled(&[one]).files, assembled(&[other]).files);
}

#[test]
fn a_hard_link_ends_where_a_layer_writes_one_of_its_names() {
    let tree = assembled(&[&[("a", b"12"), ("b", b"=> a"), ("c", b"=> a")], &[("a", b"333")]]);
    insta::assert_snapshot!(shown(&tree), @r"
    a file 3 @1
    b file 2 @0
    c => b @0
    ");
    let tree = assembled(&[&[("a", b"12"), ("b", b"=> a")], &[(".wh.a", b"")]]);
    insta::assert_snapshot!(shown(&tree), @"b file 2 @0");
    // A hard link is never named after an ignored file.
    let tree = assembled(&[&[("tmp/a", b"12"), ("b", b"=> tmp/a")]]);
    insta::assert_snapshot!(shown(&tree), @r"
    b file 2 @0
    tmp directory @0
    ");
}

#[test]
fn a_hard_link_may_lead_to_the_layer_below_or_to_a_later_entry() {
    let tree = assembled(&[
        &[("a", b"12")],
        &[("b", b"=> a"), ("d", b"=> e"), ("e", b"333"), (".wh.a", b"")],
    ]);
    insta::assert_snapshot!(shown(&tree), @r"
    b file 2 @1
    d file 3 @1
    e => d @1
    ");
    for target in ["=> nowhere", "=> dir", "=> b"] {
        let mut assembly = Assembly::new(&Limits::default());
        push(&mut assembly, &[("dir/", b"")]).unwrap();
        let error = push(&mut assembly, &[("b", target.as_bytes())]).unwrap_err();
        assert!(matches!(error, LayerError::Link { .. }), "{error}");
    }
}

#[test]
fn wanted_files_are_those_of_the_top_and_links_among_them_are_followed() {
    let tree = assembled(&[
        &[
            ("usr/lib/os-release", b"ID=old"),
            ("etc/os-release", b"-> ../usr/lib/os-release"),
            ("etc/apt/sources.list", b"-> /srv/sources"),
            ("etc/apt/preferences", b"-> nowhere"),
            ("srv/sources", b"deb"),
            ("var/lib/dpkg/arch", b"amd64"),
            ("var/lib/dpkg/status", b""),
        ],
        &[("usr/lib/os-release", b"ID=new"), ("var/lib/dpkg/.wh.arch", b"")],
        &[("var/lib/.wh.dpkg", b"")],
    ]);
    assert_eq!(
        tree.contents.keys().collect::<Vec<_>>(),
        ["etc/os-release", "usr/lib/os-release"]
    );
    assert_eq!(tree.contents["etc/os-release"], b"ID=new");
    assert_eq!(tree.uncaptured, ["etc/apt/sources.list"]);
    assert_eq!(tree.packages, Ok(Vec::new()));
}

/// A filesystem of a few names: `None` is a directory.
type Model = BTreeMap<String, Option<Vec<u8>>>;

#[derive(Debug, Clone)]
enum Step {
    Write(String, Vec<u8>),
    Make(String),
    Remove(String),
}

fn any_path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "a.b", "ab"]), 1..4).prop_map(|parts| parts.join("/"))
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (any_path(), prop::collection::vec(0u8..3, 0..3)).prop_map(|(path, bytes)| Step::Write(path, bytes)),
        1 => any_path().prop_map(Step::Make),
        2 => any_path().prop_map(Step::Remove),
    ]
}

impl Step {
    fn on(&self, model: &mut Model) {
        let (Step::Write(path, _) | Step::Make(path) | Step::Remove(path)) = self;
        if let Step::Make(path) = self
            && model.get(path) == Some(&None)
        {
            return;
        }
        model.remove(path);
        remove_below(model, path);
        let content = match self {
            Step::Remove(_) => return,
            Step::Make(_) => None,
            Step::Write(_, bytes) => Some(bytes.clone()),
        };
        model.insert(path.clone(), content);
        let mut above = parent(path);
        while let Some(directory) = above {
            model.insert(directory.to_owned(), None);
            above = parent(directory);
        }
    }
}

/// The layer that makes `new` of `old`, as a differ writes it.
fn layer(old: &Model, new: &Model) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for path in old.keys().filter(|path| !new.contains_key(*path)) {
        let (above, name) = path
            .rsplit_once('/')
            .map_or((String::new(), path.as_str()), |(a, n)| (format!("{a}/"), n));
        // Inside a removed directory there is nothing to mark, nor in what is a file now.
        if parent(path).is_none_or(|directory| new.get(directory) == Some(&None)) {
            files.push((format!("{above}.wh.{name}"), Vec::new()));
        }
    }
    for (path, content) in new {
        if old.get(path) != Some(content) {
            match content {
                Some(bytes) => files.push((path.clone(), bytes.clone())),
                None => files.push((format!("{path}/"), Vec::new())),
            }
        }
    }
    files
}

fn pushed(assembly: &mut Assembly, files: &[(String, Vec<u8>)]) {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(p, b)| (p.as_str(), b.as_slice())).collect();
    push(assembly, &files).unwrap();
}

proptest! {
    /// Assembled layers give the filesystem they were made from, and the same one as a single layer with everything.
    #[test]
    fn layers_are_what_they_were_made_from(steps in prop::collection::vec(prop::collection::vec(any_step(), 1..6), 1..6)) {
        let (mut model, mut assembly) = (Model::new(), Assembly::new(&Limits::default()));
        for steps in &steps {
            let before = model.clone();
            steps.iter().for_each(|step| step.on(&mut model));
            pushed(&mut assembly, &layer(&before, &model));
        }
        let mut whole = Assembly::new(&Limits::default());
        pushed(&mut whole, &layer(&Model::new(), &model));
        let files = |tree: Tree| -> Vec<(String, FileEntry)> {
            tree.files.into_iter().map(|(path, located)| (path, located.file)).collect()
        };
        let wanted = Wanted::inventory();
        let (layers, whole) = (files(assembly.finish(wanted)), files(whole.finish(wanted)));
        prop_assert_eq!(layers.iter().map(|(path, _)| path).collect::<Vec<_>>(), model.keys().collect::<Vec<_>>());
        prop_assert_eq!(layers, whole);
    }
}
