use super::*;
use crate::diff;
use lowtide_model::file_hash::FileHash;
use lowtide_model::image::Platform;
use lowtide_model::inventory::ImageConfig;
use proptest::prelude::*;

#[derive(Debug, Clone, Default)]
struct Image {
    packages: Vec<Package>,
    config: ImageConfig,
    files: BTreeMap<String, FileEntry>,
    contents: BTreeMap<String, Vec<u8>>,
}

impl Image {
    fn package(mut self, name: &str, version: &str, files: &[&str]) -> Self {
        self.packages.push(Package {
            name: name.to_owned(),
            architecture: "amd64".to_owned(),
            version: version.to_owned(),
            source: None,
            family: PackageFamily::Dpkg,
            held: false,
            layer: None,
        });
        let list: String = files.iter().map(|path| format!("/{path}\n")).collect();
        self.contents
            .insert(format!("var/lib/dpkg/info/{name}.list"), list.into_bytes());
        files.iter().fold(self, |image, path| image.file(path, version))
    }

    fn file(mut self, path: &str, content: &str) -> Self {
        let kind = FileKind::File {
            sha256: FileHash([content.bytes().fold(7, u8::wrapping_add); 32]),
            size: content.len() as u64,
        };
        self.files.insert(path.to_owned(), entry(kind, 0o644));
        self
    }

    fn label(mut self, key: &str, value: &str) -> Self {
        self.config.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    fn inventory(&self) -> Inventory {
        Inventory {
            image: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
            platform: Platform {
                os: "linux".to_owned(),
                architecture: "amd64".to_owned(),
                variant: None,
            },
            os: None,
            packages: self.packages.clone(),
            config: self.config.clone(),
            layers: Vec::new(),
            files: self.files.clone(),
        }
    }
}

fn entry(kind: FileKind, mode: u32) -> FileEntry {
    FileEntry {
        kind,
        mode,
        uid: 0,
        gid: 0,
        capability: None,
    }
}

fn compared(old: &Image, new: &Image, fixes: &[&str]) -> Comparison {
    let (before, after) = (old.inventory(), new.inventory());
    let side = |image, inventory| Side {
        inventory,
        contents: image,
    };
    let security = |p: &PackageDelta| (!fixes.is_empty()).then(|| fixes.contains(&p.name.as_str()));
    compare(side(&old.contents, &before), side(&new.contents, &after), &security)
}

fn base() -> Image {
    Image::default()
        .package("openssl", "1", &["usr/bin/openssl", "usr/share/doc/openssl/changelog"])
        .package("curl", "1", &["usr/bin/curl"])
        .file("srv/app", "a")
        .file("usr/share/doc/readme", "a")
        .label("maintainer", "a")
}

fn with(change: impl FnOnce(Image) -> Image) -> Image {
    let mut image = base();
    image.packages.retain(|p| p.name != "openssl");
    change(image)
}

#[test]
fn verdicts() {
    let openssl = &["usr/bin/openssl", "usr/share/doc/openssl/changelog"][..];
    let same = |image: Image| image.package("openssl", "1", openssl);
    let fixed = |image: Image| image.package("openssl", "2", openssl);
    let setuid = |mut image: Image| {
        let kind = image.files["usr/share/doc/readme"].kind.clone();
        image
            .files
            .insert("usr/share/doc/readme".to_owned(), entry(kind, 0o4755));
        image
    };
    use Significance::{Cosmetic, Functional, None, Security};
    for (what, new, fixes, verdict) in [
        ("nothing", with(same), &[][..], None),
        (
            "documentation",
            with(|i| same(i).file("usr/share/doc/readme", "b")),
            &[],
            Cosmetic,
        ),
        (
            "a manual page",
            with(|i| same(i).file("usr/share/man/man1/x.1", "b")),
            &[],
            Cosmetic,
        ),
        (
            "a label that describes",
            with(|i| same(i).label("maintainer", "b")),
            &[],
            Cosmetic,
        ),
        (
            "a label that steers",
            with(|i| same(i).label("proxy.rule", "b")),
            &[],
            Functional,
        ),
        (
            "a setuid program among documentation",
            with(|i| setuid(same(i))),
            &[],
            Functional,
        ),
        ("a file", with(|i| same(i).file("srv/app", "b")), &[], Functional),
        ("an upgrade of unknown origin", with(fixed), &[], Functional),
        ("an upgrade not from security", with(fixed), &["curl"], Functional),
        ("a security upgrade", with(fixed), &["openssl"], Security),
        (
            "one, and documentation",
            with(|i| fixed(i).file("usr/share/doc/readme", "b")),
            &["openssl"],
            Security,
        ),
        (
            "one, and what it generates",
            with(|i| fixed(i).file("etc/generated", "b")),
            &["openssl"],
            Functional,
        ),
        ("a removal", with(|i| i), &["openssl"], Functional),
        (
            "a new package",
            with(|i| same(i).package("new", "1", &[])),
            &["new"],
            Functional,
        ),
    ] {
        let found = compared(&base(), &new, fixes);
        // A package that is gone has its list still in our image; its files are those of the old one.
        assert_eq!(found.verdict, verdict, "{what}: {found:#?}");
    }
}

#[test]
fn files_are_reported_with_their_package() {
    let mut new = with(|i| {
        i.package("openssl", "2", &["usr/bin/openssl", "usr/lib/new"])
            .file("srv/app", "b")
    });
    new.files.get_mut("usr/bin/curl").unwrap().uid = 7;
    new.files.remove("usr/share/doc/readme");
    let found = compared(&base(), &new, &[]);
    let lines: Vec<String> = found
        .files
        .iter()
        .map(|f| format!("{} {:?} {}", f.path, f.how, f.package.as_deref().unwrap_or("-")))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    srv/app Changed { content: true, mode: false, owner: false } -
    usr/bin/curl Changed { content: false, mode: false, owner: true } -
    usr/bin/openssl Changed { content: true, mode: false, owner: false } openssl
    usr/lib/new Added openssl
    usr/share/doc/readme Removed -
    ");
    assert_eq!(FileDelta::counts(&found.files), [1, 1, 3]);
}

#[test]
fn config_shows_the_values_that_differ() {
    let image = |env: &[&str], cmd: &[&str]| {
        let mut image = Image::default();
        image.config.env = env.iter().map(|v| (*v).to_owned()).collect();
        image.config.cmd = cmd.iter().map(|v| (*v).to_owned()).collect();
        image
    };
    let shown = |old: Image, new: Image| {
        let deltas = compared(&old, &new, &[]).config;
        let lines: Vec<String> = deltas
            .iter()
            .map(|d| format!("{} {:?} {:?}", d.part, d.old, d.new))
            .collect();
        lines.join("\n")
    };
    insta::assert_snapshot!(shown(image(&["A=1", "B=2"], &["a", "b"]), image(&["A=1", "B=3"], &["b", "a"])), @r#"
    env ["B=2"] ["B=3"]
    cmd ["a", "b"] ["b", "a"]
    "#);
    // Order alone: a later value wins.
    insta::assert_snapshot!(shown(image(&["A=1", "A=2"], &[]), image(&["A=2", "A=1"], &[])), @r#"env ["A=1", "A=2"] ["A=2", "A=1"]"#);
}

#[test]
fn kernels_stay_beside_each_other() {
    let image = |versions: &[&str]| {
        versions
            .iter()
            .fold(Image::default(), |image, version| image.package("linux", version, &[]))
    };
    let found = compared(&image(&["1", "2"]), &image(&["2", "3", "4"]), &[]);
    let lines: Vec<String> = found
        .packages
        .iter()
        .map(|p| {
            let version = |at: &Option<PackageAt>| at.as_ref().map_or("-".to_owned(), |at| at.version.clone());
            format!("{} {} {}", p.name, version(&p.old), version(&p.new))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    linux 1 3
    linux - 4
    ");
}

fn any_image() -> impl Strategy<Value = Image> {
    let files = prop::collection::btree_map("(srv|usr/share/doc)/[ab]", "[ab]", 0..3);
    let packages = prop::collection::btree_map("[ab]", "[12]", 0..3);
    let labels = prop::collection::btree_map("(maintainer|x)", "[ab]", 0..2);
    (files, packages, labels).prop_map(|(files, packages, labels)| {
        let image = files
            .iter()
            .fold(Image::default(), |image, (path, text)| image.file(path, text));
        let image = packages
            .iter()
            .fold(image, |image, (name, version)| image.package(name, version, &[]));
        labels.iter().fold(image, |image, (key, value)| image.label(key, value))
    })
}

proptest! {
    /// The full comparison and the one that decides about a rebuild say "the same" of the same images.
    #[test]
    fn none_means_no_change(old in any_image(), new in any_image()) {
        let found = compared(&old, &new, &[]);
        let change = diff::change(&old.inventory(), &new.inventory());
        prop_assert_eq!(found.verdict == Significance::None, change.is_empty());
        let [added, removed, changed] = FileDelta::counts(&found.files);
        prop_assert_eq!([change.files.added, change.files.removed, change.files.changed], [added, removed, changed]);
    }

    #[test]
    fn knowing_more_makes_nothing_heavier(old in any_image(), new in any_image()) {
        prop_assert!(compared(&old, &new, &["a", "b"]).verdict <= compared(&old, &new, &[]).verdict);
    }

    #[test]
    fn the_verdict_has_no_direction_but_for_packages(old in any_image(), new in any_image()) {
        prop_assert_eq!(compared(&old, &new, &[]).verdict, compared(&new, &old, &[]).verdict);
    }
}
