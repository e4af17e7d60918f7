use super::*;

fn ignore(text: &str) -> Ignore {
    Ignore::parse(text).unwrap()
}

/// (patterns, path, excluded), from the Dockerfile reference and moby's documented behaviour.
#[test]
fn documented_semantics() {
    let table = [
        ("*/temp*", "a/temporary.txt", true),
        ("*/temp*", "a/temp/x", true),
        ("*/temp*", "temp", false),
        ("*/*/temp*", "a/b/temporary.txt", true),
        ("*/*/temp*", "a/temp", false),
        ("temp?", "tempa", true),
        ("temp?", "temp", false),
        ("temp?", "tempab", false),
        ("**/*.go", "x.go", true),
        ("**/*.go", "a/b/x.go", true),
        ("**/*.go", "a/b/x.gox", false),
        ("# comment\nx", "# comment", false),
        (" # pattern", "# pattern", true),
        ("/foo/bar", "foo/bar", true),
        ("foo/bar/", "foo/bar", true),
        ("./foo//bar/../baz", "foo/baz", true),
        ("../out", "out", false),
        ("foo", "foo/deep/er", true),
        ("foo", "a/foo", false),
        ("**/foo", "foo", true),
        ("**/foo", "a/b/foo", true),
        ("**/foo", "a/xfoo", false),
        ("foo/**", "foo/a/b", true),
        ("foo/**", "foo", false),
        ("**", "anything/at/all", true),
        ("*", "anything/at/all", true),
        ("a/**/b", "a/b", true),
        ("a/**/b", "a/x/y/b", true),
        ("a/**/b", "ab", false),
        ("*.md\n!README.md", "README.md", false),
        ("*.md\n!README.md", "x.md", true),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
        ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false),
        ("!x\nx", "x", true),
        ("dir\n!dir/keep", "dir/keep", false),
        ("dir\n!dir/keep", "dir/keep/more", false),
        ("dir\n!dir/keep", "dir/other", true),
        ("*\n!**/*.txt", "a/b.txt", false),
        ("[a-c]x", "bx", true),
        ("[^a-c]x", "bx", false),
        ("[a&&b]", "&", true),
        ("a.b", "aXb", false),
        ("a+(b)|c$", "a+(b)|c$", true),
        ("\\*", "*", true),
        ("\\*", "x", false),
        ("\u{feff}bom", "bom", true),
        ("crlf\r\nnext\r\n", "crlf", true),
        ("! spaced\n*", "spaced", true),
        ("*\n! spaced", "spaced", false),
        (".", "x", false),
        ("", "x", false),
        ("*", "", false),
    ];
    for (patterns, path, excluded) in table {
        assert_eq!(
            ignore(patterns).excluded(path, false),
            excluded,
            "{patterns:?} on {path:?}"
        );
    }
}

#[test]
fn what_docker_refuses_is_refused() {
    let said = |text: &str| Ignore::parse(text).unwrap_err().to_string();
    insta::assert_snapshot!(said("ok\n!"), @r#"line 2: "!" is not a pattern"#);
    insta::assert_snapshot!(said("a[b"), @r#"line 1: "a[b" is not a pattern"#);
    insta::assert_snapshot!(said("[]a]"), @r#"line 1: "[]a]" is not a pattern"#);
    insta::assert_snapshot!(said("a\\"), @r#"line 1: "a\\" is not a pattern"#);
}

#[test]
fn a_directory_is_skipped_only_when_nothing_below_can_come_back() {
    let table = [
        ("dir", "dir", true),
        ("dir", "other", false),
        ("dir\n!dir/keep/x", "dir", false),
        ("dir\n!dir/keep/x", "dir/keep", false),
        ("dir\n!dir/keep/x", "dir/gone", true),
        ("dir\n!other", "dir", true),
        ("*\n!**/x", "dir", false),
        ("*\n!di*/x", "dir", false),
        ("*\n!src/*.c", "doc", true),
    ];
    for (patterns, directory, skipped) in table {
        assert_eq!(
            ignore(patterns).skips(directory),
            skipped,
            "{patterns:?} on {directory:?}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(text in ".*", path in "[a-c/.*]{0,8}") {
        if let Ok(ignore) = Ignore::parse(&text) {
            let _ = ignore.excluded(&path, false);
        }
    }

    /// A walk that skips directories finds the same files as one that does not.
    #[test]
    fn skipping_loses_nothing(text in "([!]?[ab*/]{1,5}\n){1,4}", path in "[ab]{1,2}(/[ab]{1,2}){0,3}") {
        let Ok(ignore) = Ignore::parse(&text) else { return Ok(()) };
        let skipped = path.match_indices('/').any(|(at, _)| ignore.skips(&path[..at]));
        proptest::prop_assert!(!skipped || ignore.excluded(&path, false));
    }
}
