//! Does a change to a text file affect more than white space and comments? The file's name determines the comment
//! syntax; in files of an unknown kind only white space is ignored. A docstring is a string and counts as code.
//!
//! No language is parsed here. Ambiguous text counts as code: a comment mistaken for code only lets a person's change
//! through, while code mistaken for a comment would block one.

/// Syntax of comments and strings in a kind of file.
#[derive(Debug, Clone, Copy)]
struct Syntax {
    /// Up to the end of the line.
    line: &'static [&'static str],
    /// Where such a comment may begin.
    begins: Begins,
    block: &'static [(&'static str, &'static str)],
    strings: &'static [Quote],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    Anywhere,
    /// Not within a word: `$#`, `a#b` are none.
    Word,
    Line,
}

#[derive(Debug, Clone, Copy)]
struct Quote {
    mark: &'static str,
    ends: Ends,
    escapes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// The end of a line ends it too: then it was no string.
    Line,
    /// At its own mark only.
    Mark,
    /// As `Line`, and no further than one character: `'a` of Rust is no string.
    Character,
}

const fn quote(mark: &'static str, ends: Ends) -> Quote {
    Quote {
        mark,
        ends,
        escapes: true,
    }
}

const PLAIN: &[Quote] = &[quote("\"", Ends::Line), quote("'", Ends::Line)];
const PYTHON: &[Quote] = &[
    quote("\"\"\"", Ends::Mark),
    quote("'''", Ends::Mark),
    quote("\"", Ends::Line),
    quote("'", Ends::Line),
];
const SCRIPT: &[Quote] = &[quote("\"", Ends::Line), quote("'", Ends::Line), quote("`", Ends::Mark)];
const COMPILED: &[Quote] = &[
    quote("\"\"\"", Ends::Mark),
    quote("\"", Ends::Line),
    quote("'", Ends::Character),
    quote("`", Ends::Mark),
];
const SHELL: &[Quote] = &[
    quote("\"", Ends::Mark),
    Quote {
        mark: "'",
        ends: Ends::Mark,
        escapes: false,
    },
];
const SQL: &[Quote] = &[
    Quote {
        mark: "'",
        ends: Ends::Mark,
        escapes: false,
    },
    Quote {
        mark: "\"",
        ends: Ends::Line,
        escapes: false,
    },
];

const C_BLOCK: &[(&str, &str)] = &[("/*", "*/")];
const MARKUP: &[(&str, &str)] = &[("<!--", "-->")];

/// The kind of a file, by the end of its name, or by the whole of it.
const KINDS: &[(&[&str], Syntax)] = &[
    (
        &["py", "pyi", "pyx"],
        Syntax {
            line: &["#"],
            begins: Begins::Anywhere,
            block: &[],
            strings: PYTHON,
        },
    ),
    (
        &[
            "rb", "rake", "r", "jl", "ex", "exs", "nim", "toml", "cmake", "gql", "graphql", "coffee",
        ],
        Syntax {
            line: &["#"],
            begins: Begins::Anywhere,
            block: &[],
            strings: PYTHON,
        },
    ),
    (
        &[
            "sh", "bash", "zsh", "ksh", "bats", "pl", "pm", "t", "tcl", "exp", "fish", "awk",
        ],
        Syntax {
            line: &["#"],
            begins: Begins::Word,
            block: &[],
            strings: SHELL,
        },
    ),
    (
        &["yml", "yaml", "conf", "env", "properties", "makefile", "mk", "robot"],
        Syntax {
            line: &["#"],
            begins: Begins::Word,
            block: &[],
            strings: &[],
        },
    ),
    (
        &["feature", "dockerfile", "containerfile", "dockerignore", "gitignore"],
        Syntax {
            line: &["#"],
            begins: Begins::Line,
            block: &[],
            strings: &[],
        },
    ),
    (
        &["ps1", "psm1"],
        Syntax {
            line: &["#"],
            begins: Begins::Word,
            block: &[("<#", "#>")],
            strings: PLAIN,
        },
    ),
    (
        &[
            "js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts", "json5", "jsonc", "dart", "scss", "less", "styl",
        ],
        Syntax {
            line: &["//"],
            begins: Begins::Anywhere,
            block: C_BLOCK,
            strings: SCRIPT,
        },
    ),
    (
        &[
            "c", "h", "cc", "cpp", "cxx", "hh", "hpp", "hxx", "cs", "java", "kt", "kts", "go", "rs", "swift", "scala",
            "groovy", "gradle", "proto", "zig", "sol", "v",
        ],
        Syntax {
            line: &["//"],
            begins: Begins::Anywhere,
            block: C_BLOCK,
            strings: COMPILED,
        },
    ),
    (
        &["css"],
        Syntax {
            line: &[],
            begins: Begins::Anywhere,
            block: C_BLOCK,
            strings: PLAIN,
        },
    ),
    (
        &["php", "phpt", "inc", "module", "install", "theme"],
        Syntax {
            line: &["//", "#"],
            begins: Begins::Anywhere,
            block: C_BLOCK,
            strings: PLAIN,
        },
    ),
    (
        &["tf", "hcl"],
        Syntax {
            line: &["//", "#"],
            begins: Begins::Anywhere,
            block: C_BLOCK,
            strings: PLAIN,
        },
    ),
    (
        &["sql"],
        Syntax {
            line: &["--"],
            begins: Begins::Anywhere,
            block: C_BLOCK,
            strings: SQL,
        },
    ),
    (
        &["lua"],
        Syntax {
            line: &["--"],
            begins: Begins::Anywhere,
            block: &[("--[[", "]]")],
            strings: PLAIN,
        },
    ),
    (
        &["hs", "elm", "adb", "ads", "vhd", "vhdl"],
        Syntax {
            line: &["--"],
            begins: Begins::Anywhere,
            block: &[("{-", "-}")],
            strings: &[quote("\"", Ends::Line)],
        },
    ),
    (
        &["ini", "cfg"],
        Syntax {
            line: &[";", "#"],
            begins: Begins::Word,
            block: &[],
            strings: &[],
        },
    ),
    (
        &[
            "lisp", "cl", "clj", "cljs", "cljc", "edn", "el", "scm", "rkt", "asm", "s",
        ],
        Syntax {
            line: &[";"],
            begins: Begins::Anywhere,
            block: &[],
            strings: &[quote("\"", Ends::Mark)],
        },
    ),
    (
        &[
            "html", "htm", "xhtml", "xml", "xsd", "xsl", "svg", "md", "markdown", "csproj", "plist",
        ],
        Syntax {
            line: &[],
            begins: Begins::Anywhere,
            block: MARKUP,
            strings: &[],
        },
    ),
    (
        &["vue", "svelte"],
        Syntax {
            line: &["//"],
            begins: Begins::Word,
            block: &[("<!--", "-->"), ("/*", "*/")],
            strings: SCRIPT,
        },
    ),
    (
        &["twig", "jinja", "jinja2", "j2"],
        Syntax {
            line: &[],
            begins: Begins::Anywhere,
            block: &[("{#", "#}"), ("<!--", "-->")],
            strings: &[],
        },
    ),
    (
        &["tex", "sty", "erl", "hrl", "pro"],
        Syntax {
            line: &["%"],
            begins: Begins::Anywhere,
            block: &[],
            strings: &[],
        },
    ),
];

const UNKNOWN: Syntax = Syntax {
    line: &[],
    begins: Begins::Anywhere,
    block: &[],
    strings: &[],
};

/// Is there more to the change than white space and comments? `old`: `None`: the file is new.
#[must_use]
pub fn changes(path: &str, old: Option<&[u8]>, new: &[u8]) -> bool {
    let syntax = syntax(path);
    essence(old.unwrap_or_default(), syntax) != essence(new, syntax)
}

fn syntax(path: &str) -> Syntax {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    // `Dockerfile.test` is a Dockerfile, whatever follows.
    let whole = name.split('.').next().unwrap_or_default();
    let end = name.rsplit('.').next().unwrap_or_default();
    let of = |kind: &str| {
        KINDS
            .iter()
            .find(|(kinds, _)| kinds.contains(&kind))
            .map(|(_, syntax)| *syntax)
    };
    let by_name = matches!(whole, "dockerfile" | "containerfile" | "makefile");
    let found = if by_name { of(whole) } else { of(end) };
    found.unwrap_or(UNKNOWN)
}

/// The text without comments; white space is left where it separates two words.
fn essence(text: &[u8], syntax: Syntax) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    let mut spaced = false;
    while let Some(byte) = text.get(at) {
        let rest = &text[at..];
        if let Some(skipped) = comment(text, at, syntax) {
            at += skipped;
            spaced = true;
        } else if byte.is_ascii_whitespace() {
            at += 1;
            spaced = true;
        } else {
            if spaced && is_word(*byte) && out.last().copied().is_some_and(is_word) {
                out.push(b' ');
            }
            spaced = false;
            let length = syntax.strings.iter().find_map(|quote| string(rest, quote)).unwrap_or(1);
            out.extend_from_slice(&rest[..length]);
            at += length;
        }
    }
    out
}

/// Length of the comment that begins here.
fn comment(text: &[u8], at: usize, syntax: Syntax) -> Option<usize> {
    let rest = &text[at..];
    for (begin, end) in syntax.block {
        if rest.starts_with(begin.as_bytes()) {
            let body = &rest[begin.len()..];
            // An unclosed comment runs to the end of the file.
            return Some(find(body, end.as_bytes()).map_or(rest.len(), |n| begin.len() + n + end.len()));
        }
    }
    let begins = match (syntax.begins, at.checked_sub(1).and_then(|before| text.get(before))) {
        (Begins::Anywhere, _) | (_, None) => true,
        (Begins::Word, Some(before)) => before.is_ascii_whitespace() || b";&|()".contains(before),
        (Begins::Line, Some(_)) => {
            let line = text[..at].rsplit(|b| *b == b'\n').next().unwrap_or_default();
            line.iter().all(u8::is_ascii_whitespace)
        }
    };
    // `#[…]` of PHP is an attribute: code.
    let marks = |mark: &&str| rest.starts_with(mark.as_bytes()) && !(*mark == "#" && rest.starts_with(b"#["));
    let marked = syntax.line.iter().any(marks);
    (marked && begins).then(|| rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()))
}

/// Length of the string that begins here.
fn string(rest: &[u8], quote: &Quote) -> Option<usize> {
    let mark = quote.mark.as_bytes();
    let body = rest.strip_prefix(mark)?;
    let mut at = 0;
    while at < body.len() {
        if body[at..].starts_with(mark) {
            let length = mark.len() + at + mark.len();
            // `'\u{10ffff}'` is the longest.
            return (quote.ends != Ends::Character || at <= 10).then_some(length);
        }
        match body[at] {
            b'\\' if quote.escapes => at += 2,
            b'\n' if quote.ends != Ends::Mark => return None,
            _ => at += 1,
        }
    }
    None
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(path: &str, old: &str, new: &str) -> String {
        let what = if changes(path, Some(old.as_bytes()), new.as_bytes()) {
            "a change"
        } else {
            "nothing"
        };
        format!("{path}: {what}")
    }

    #[test]
    fn white_space_and_comments_change_nothing() {
        let table = [
            effect("tests/a.py", "assert x\n", "\nassert x  # why\n"),
            effect("tests/a.sh", "[ -f x ]\n", "# now\n[ -f x ] # there\n"),
            effect("tests/a.js", "expect(1)\n", "/* one\n two */ expect( 1 ) // three\n"),
            effect("tests/a_test.go", "f()\n", "// f\n\tf()\n"),
            effect("tests/a.rs", "fn f<'a>() {}\n", "/// docs\nfn f<'a>() {} // it's\n"),
            effect("tests/ATest.php", "f();\n", "# one\nf(); // two\n/** three */\n"),
            effect("tests/a.sql", "select 1;\n", "-- one\nselect 1; /* two */\n"),
            effect("tests/a.lua", "f()\n", "--[[ one\n two ]] f()\n"),
            effect("tests/a.ini", "[a]\nb=1\n", "; one\n[a]\nb=1\n"),
            effect("tests/a.clj", "(f)\n", "; one\n(f)\n"),
            effect("tests/a.html", "<p>x</p>\n", "<!-- one -->\n<p>x</p>\n"),
            effect("tests/a.tex", "x\n", "% one\nx\n"),
            effect("tests/a.feature", "Given x\n", "  # one\nGiven x\n"),
            effect("tests/a.yaml", "a: don't\n", "a: don't # one\n"),
            effect("tests/Dockerfile.test", "RUN x\n", "# one\nRUN x\n"),
            effect("tests/data.bin", "a b\n", "a  b\n\n"),
        ];
        assert!(table.iter().all(|row| row.ends_with("nothing")), "{table:#?}");
    }

    #[test]
    fn code_and_strings_are_changes() {
        let table = [
            effect("tests/a.py", "assert x\n", "assert y\n"),
            effect("tests/a.py", "s = '# 1'\n", "s = '# 2'\n"),
            effect(
                "tests/a.py",
                "def f():\n  \"\"\"one\"\"\"\n",
                "def f():\n  \"\"\"two # x\"\"\"\n",
            ),
            effect("tests/a.py", "# assert x\n", "assert x\n"),
            effect("tests/a.py", "s = 'a b'\n", "s = 'a  b'\n"),
            effect("tests/a.sh", "echo $#\n", "echo $# 1\n"),
            effect("tests/a.sh", "echo \"a # b\"\n", "echo \"a # c\"\n"),
            effect("tests/a.js", "get('http://a')\n", "get('http://b')\n"),
            effect("tests/a.js", "f(`\n// a`)\n", "f(`\n// b`)\n"),
            effect("tests/a.rs", "fn f<'a>() { g(1) }\n", "fn f<'a>() { g(2) }\n"),
            effect("tests/a.rs", "f('#', '\\'')\n", "f('#', '\"')\n"),
            effect("tests/ATest.php", "function f() {}\n", "#[Test] function f() {}\n"),
            effect("tests/ATest.php", "function f() {}\n", "#[Test]\nfunction f() {}\n"),
            effect("tests/a.sql", "select '--a';\n", "select '--b';\n"),
            effect("tests/a.yaml", "a: b#1\n", "a: b#2\n"),
            // What is not known has no comments.
            effect("tests/a.txt", "x\n", "x\n# y\n"),
            effect("tests/a.txt", "ab\n", "a b\n"),
            effect("tests/a.css", "a{}\n", "a{} // b\n"),
        ];
        assert!(table.iter().all(|row| row.ends_with("a change")), "{table:#?}");
        assert!(!changes("tests/new.py", None, b"\n# nothing yet\n"));
        assert!(changes("tests/new.py", None, b"assert x\n"));
        // Cut off in the middle of anything.
        for text in ["'", "\"\"\"", "/*", "<!--", "\\", "'\\", "#", "--[["] {
            for path in ["a.py", "a.js", "a.rs", "a.lua", "a.html", "a.sh"] {
                assert!(!changes(path, Some(text.as_bytes()), text.as_bytes()));
            }
        }
    }
}
