//! Where in a commit a failure is: reports name files as their tools see them, inside a container or from some folder.

use lowtide_model::failure::Finding;
use std::collections::{BTreeSet, HashMap};

/// The findings whose file the commit has, by its path there. What fits no file, or several, is left out: a comment in
/// the wrong place costs more than a missing one.
#[must_use]
pub fn placed(findings: Vec<Finding>, files: &[String]) -> Vec<Finding> {
    let mut named: HashMap<&str, Vec<&str>> = HashMap::new();
    let wanted: BTreeSet<&str> = findings.iter().map(|finding| name(&finding.path)).collect();
    for file in files {
        if wanted.contains(name(file)) {
            named.entry(name(file)).or_default().push(file);
        }
    }
    let place = |finding: &Finding| {
        let candidates = named.get(name(&finding.path)).map_or(&[][..], Vec::as_slice);
        file(&finding.path, candidates).map(ToOwned::to_owned)
    };
    let places: Vec<Option<String>> = findings.iter().map(place).collect();
    let placed = findings.into_iter().zip(places);
    placed
        .filter_map(|(finding, path)| Some(Finding { path: path?, ..finding }))
        .collect()
}

/// The one of `candidates` that a report means by `written`. In a container the repository lies below some folder, so a
/// longer path that ends in a file's is that file; a relative path may begin in some folder of the repository.
fn file<'a>(written: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let written = written.replace('\\', "/");
    let written = written.strip_prefix("./").unwrap_or(&written);
    let copied = candidates.iter().filter(|file| ends_with(written, file));
    if let Some(longest) = copied.max_by_key(|file| file.len()) {
        return Some(longest);
    }
    let mut below = candidates.iter().filter(|file| ends_with(file, written));
    match (below.next(), below.next()) {
        (Some(only), None) => Some(only),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

/// Does `path` end with all segments of `end`?
fn ends_with(path: &str, end: &str) -> bool {
    let before = path.strip_suffix(end);
    before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

fn name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_s_path_is_the_file_that_it_can_only_mean() {
        let files = [
            "Dockerfile",
            "tests/MenuTest.php",
            "web/tests/MenuTest.php",
            "app/a.js",
            "lib/a.js",
            "app/b.js",
        ]
        .map(ToOwned::to_owned);
        let place = |path: &str| {
            let finding = Finding {
                path: path.to_owned(),
                line: 3,
                title: String::new(),
                message: Vec::new(),
            };
            let placed = placed(vec![finding], &files);
            placed.first().map_or("none".to_owned(), |finding| {
                format!("{}:{}", finding.path, finding.line)
            })
        };
        for (written, meant) in [
            ("Dockerfile", "Dockerfile:3"),
            ("./Dockerfile", "Dockerfile:3"),
            ("/var/www/html/tests/MenuTest.php", "tests/MenuTest.php:3"),
            ("/srv/web/tests/MenuTest.php", "web/tests/MenuTest.php:3"),
            (r"C:\src\web\tests\MenuTest.php", "web/tests/MenuTest.php:3"),
            ("b.js", "app/b.js:3"),
            ("a.js", "none"),
            ("/srv/my-b.js", "none"),
            ("/usr/lib/python3/unittest.py", "none"),
            ("/srv/b.js", "none"),
            ("", "none"),
        ] {
            assert_eq!(place(written), meant, "{written}");
        }
    }
}
