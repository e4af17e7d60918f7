//! apt.conf(5): the few settings that change what an upgrade would do.

/// Settings in the order in which they were made. Names ignore case; the last one of a name counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Conf {
    /// Lower-case path and value.
    entries: Vec<(String, String)>,
}

impl Conf {
    /// Adds the settings of one file. Of a file that apt would reject, the part that can be read counts: apt reports
    /// its own error in the build, and no result depends on the rest.
    pub(crate) fn read(&mut self, text: &str) {
        let mut scopes: Vec<String> = Vec::new();
        let mut words: Vec<String> = Vec::new();
        for token in tokens(text) {
            match token {
                Token::Word(word) => words.push(word),
                Token::Open => {
                    let name = words.first().map(String::as_str).unwrap_or_default();
                    scopes.push(path(&scopes, name));
                    words.clear();
                }
                Token::Close => {
                    words.clear();
                    scopes.pop();
                }
                Token::End => {
                    self.statement(&scopes, &words);
                    words.clear();
                }
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        let found = self.entries.iter().rfind(|(have, _)| *have == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn is(&self, name: &str, default: bool) -> bool {
        self.get(name).and_then(truth).unwrap_or(default)
    }

    /// Whether anything is set at or below a name.
    pub(crate) fn has_below(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.entries.iter().any(|(have, _)| below(have, &name))
    }

    fn statement(&mut self, scopes: &[String], words: &[String]) {
        match words {
            [directive, name] if directive == "#clear" => {
                let name = name.to_ascii_lowercase();
                self.entries.retain(|(have, _)| !below(have, &name));
            }
            [name, value, ..] => self.entries.push((path(scopes, name), value.clone())),
            // An item of a list: it has no name of its own.
            [value] => self.entries.push((path(scopes, ""), value.clone())),
            [] => {}
        }
    }
}

/// The words apt takes for true and false.
pub(crate) fn truth(value: &str) -> Option<bool> {
    let is = |words: [&str; 6]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    if is(["yes", "true", "with", "on", "enable", "1"]) {
        Some(true)
    } else if is(["no", "false", "without", "off", "disable", "0"]) {
        Some(false)
    } else {
        None
    }
}

fn below(name: &str, above: &str) -> bool {
    name.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn path(scopes: &[String], name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match scopes.last() {
        Some(scope) => format!("{scope}::{name}"),
        None => name,
    }
}

enum Token {
    Word(String),
    Open,
    Close,
    End,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '{' => push(&mut found, Token::Open, after),
            '}' => push(&mut found, Token::Close, after),
            ';' => push(&mut found, Token::End, after),
            '"' => {
                let end = after.find('"').unwrap_or(after.len());
                found.push(Token::Word(after[..end].to_owned()));
                after.get(end + 1..).unwrap_or_default()
            }
            '/' if after.starts_with('/') => line_end(after),
            '/' if after.starts_with('*') => after.split_once("*/").map_or("", |(_, rest)| rest),
            // A directive, not a comment.
            '#' if !rest.starts_with("#clear") => line_end(after),
            space if space.is_whitespace() => after,
            _ => {
                let end = rest
                    .find(|c: char| c.is_whitespace() || "{};\"".contains(c))
                    .unwrap_or(rest.len());
                found.push(Token::Word(rest[..end].to_owned()));
                &rest[end..]
            }
        };
    }
    found
}

fn push<'a>(found: &mut Vec<Token>, token: Token, after: &'a str) -> &'a str {
    found.push(token);
    after
}

fn line_end(text: &str) -> &str {
    text.find('\n').map_or("", |at| &text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(text: &str) -> Conf {
        let mut conf = Conf::default();
        conf.read(text);
        conf
    }

    #[test]
    fn scopes_lists_and_comments() {
        let conf = conf(
            "# a comment\nAPT::Default-Release \"stable\"; // another\nAPT { Get { Never-Include-Phased-Updates true; };\n\
             /* and\n \"one\"; more */ Install-Recommends \"0\"; NeverAutoRemove { \"^linux-.*\"; \"x\"; }; };\n\
             Acquire::http::Proxy \"http://proxy.example.org:3128\"; Dir::Cache::pkgcache \"\";",
        );
        insta::assert_debug_snapshot!(conf.entries, @r#"
        [
            (
                "apt::default-release",
                "stable",
            ),
            (
                "apt::get::never-include-phased-updates",
                "true",
            ),
            (
                "apt::install-recommends",
                "0",
            ),
            (
                "apt::neverautoremove::",
                "^linux-.*",
            ),
            (
                "apt::neverautoremove::",
                "x",
            ),
            (
                "acquire::http::proxy",
                "http://proxy.example.org:3128",
            ),
            (
                "dir::cache::pkgcache",
                "",
            ),
        ]
        "#);
        assert_eq!(conf.get("apt::default-RELEASE"), Some("stable"));
        assert!(!conf.is("APT::Install-Recommends", true));
        assert!(conf.is("APT::Get::Always-Include-Phased-Updates", true));
        assert!(conf.has_below("APT::NeverAutoRemove") && conf.has_below("Dir") && !conf.has_below("APT::Never"));
    }

    #[test]
    fn the_last_word_counts_and_can_be_undone() {
        let twice = conf("APT::Solver \"a\"; apt::solver \"b\";");
        assert_eq!(twice.get("APT::Solver"), Some("b"));
        let cleared = conf("A::B::C \"1\"; A::BB \"2\"; #clear A::B;\nA::D \"3\";");
        assert_eq!(
            (cleared.get("A::B::C"), cleared.get("A::BB"), cleared.get("A::D")),
            (None, Some("2"), Some("3"))
        );
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = conf(&text).is("APT::Install-Recommends", true);
        }
    }
}
