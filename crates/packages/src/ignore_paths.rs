//! Files whose changes an app's own configuration says do not count (`build.ignore_paths`), besides those of [`super::ignored`].

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use lowtide_model::inventory::Inventory;

/// Leaves the files out of the inventory. `patterns`: absolute paths, in which `*` stands for a part of one name and `**` for
/// any number of directories. One that cannot be read leaves nothing out; the configuration refuses it.
pub fn leave_out(inventory: &mut Inventory, patterns: &[String]) {
    if patterns.is_empty() {
        return;
    }
    let ignored = set(patterns);
    inventory.files.retain(|path, _| !ignored.is_match(path));
}

fn set(patterns: &[String]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern.trim_start_matches('/'))
            .literal_separator(true)
            .build();
        if let Ok(glob) = glob {
            set.add(glob);
        }
    }
    set.build().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_directory() {
        let left = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
            let ignored = set(&patterns);
            let paths = ["srv/build-info.json", "srv/a/build-info.json", "srv/a/b/x.map"];
            paths
                .into_iter()
                .filter(|path| !ignored.is_match(path))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(left(&["/srv/*.json"]), "srv/a/build-info.json srv/a/b/x.map");
        assert_eq!(left(&["/srv/**/*.json", "/srv/a/b"]), "srv/a/b/x.map");
        assert_eq!(left(&["/srv/**"]), "");
        assert_eq!(left(&["[", "/srv/a/**"]), "srv/build-info.json");
    }
}
