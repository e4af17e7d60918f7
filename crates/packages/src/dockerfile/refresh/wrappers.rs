//! Programs that run others.

use super::lists::{At, Runner};
use super::values::Field;
use crate::dockerfile::shell::tree::Redirect;

/// Options before the command: those without value, those with one, and how many words come before the command.
struct Wrapper {
    flags: &'static [&'static str],
    valued: &'static [&'static str],
    before: usize,
}

fn wrapper(name: &str) -> Option<Wrapper> {
    let (flags, valued, before): (&[&str], &[&str], usize) = match name {
        "command" => (&["-p"], &[], 0),
        "builtin" | "nohup" | "eatmydata" => (&[], &[], 0),
        "time" => (&["-p", "-v", "-a", "-q"], &["-f", "-o", "--format", "--output"], 0),
        "nice" => (&[], &["-n", "--adjustment"], 0),
        "ionice" => (&["-t"], &["-c", "-n", "--class", "--classdata"], 0),
        "stdbuf" => (&[], &["-i", "-o", "-e", "--input", "--output", "--error"], 0),
        "timeout" => (
            &["--preserve-status", "--foreground", "-v", "--verbose"],
            &["-k", "-s", "--kill-after", "--signal"],
            1,
        ),
        "gosu" | "su-exec" => (&[], &[], 1),
        "sudo" => (
            &[
                "-E",
                "-H",
                "-n",
                "-S",
                "-P",
                "-k",
                "-b",
                "-A",
                "--preserve-env",
                "--set-home",
                "--non-interactive",
            ],
            &[
                "-u",
                "-g",
                "-h",
                "-p",
                "-C",
                "-r",
                "-t",
                "--user",
                "--group",
                "--preserve-env",
            ],
            0,
        ),
        "doas" => (&["-n"], &["-u", "-C"], 0),
        "env" => (
            &["-i", "-", "--ignore-environment"],
            &["-u", "--unset", "-C", "--chdir"],
            0,
        ),
        _ => return None,
    };
    Some(Wrapper { flags, valued, before })
}

impl Runner<'_> {
    /// `None`: it is no such program.
    pub(super) fn wrapped(&mut self, name: &str, words: &[Field], redirects: &[Redirect], at: At) -> Option<()> {
        let wrapper = wrapper(name)?;
        if name == "command"
            && words
                .first()
                .is_some_and(|word| matches!(word.text.as_str(), "-v" | "-V" | "-pv"))
        {
            return Some(());
        }
        let Some(rest) = after_options(words, &wrapper) else {
            self.record.doubt(&format!("an option of {name} is not understood"));
            return Some(());
        };
        let rest = rest.get(wrapper.before..).unwrap_or_default();
        let before = self.variables.clone();
        if name == "env" && words.iter().any(|word| word.text.starts_with('-')) {
            self.variables.forget_all();
        }
        // `env` and `sudo` take assignments.
        let assignments = if matches!(name, "env" | "sudo" | "doas") {
            let is_one = |word: &&Field| word.text.split_once('=').is_some_and(|(name, _)| is_variable(name));
            rest.iter().take_while(is_one).count()
        } else {
            0
        };
        let (assigned, command) = rest.split_at(assignments);
        for word in assigned {
            if let Some((name, value)) = word.text.split_once('=') {
                self.variables.set(name, (!word.open).then(|| value.to_owned()), true);
            }
        }
        self.call(command, redirects, at);
        self.variables = before;
        Some(())
    }

    /// sh and its kin.
    pub(super) fn shell_program(&mut self, name: &str, words: &[Field], redirects: &[Redirect], at: At) {
        let (mut errexit, mut pipefail, mut command) = (false, false, false);
        let mut rest = words;
        while let Some((word, after)) = rest.split_first() {
            let Some(text) = word.known() else { break };
            let Some(letters) = text.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                break;
            };
            rest = after;
            if let Some(long) = letters.strip_prefix('-') {
                match long {
                    "" => break,
                    "login" | "noprofile" | "norc" | "posix" | "noediting" => continue,
                    _ => return self.record.doubt(&format!("an option of {name} is not understood")),
                }
            }
            for letter in letters.chars() {
                match letter {
                    'e' => errexit = true,
                    'c' => command = true,
                    'o' => {
                        let option = rest.first().and_then(Field::known);
                        match option {
                            Some("errexit") => errexit = true,
                            Some("pipefail") => pipefail = true,
                            Some("nounset" | "xtrace" | "posix" | "verbose") => {}
                            Some(_) | None => {
                                return self.record.doubt(&format!("an option of {name} is not understood"));
                            }
                        }
                        rest = rest.get(1..).unwrap_or_default();
                    }
                    'u' | 'x' | 'l' | 'i' | 'v' | 'f' | 'h' | 'm' | 'p' | 's' | 'a' | 'B' => {}
                    _ => return self.record.doubt(&format!("an option of {name} is not understood")),
                }
            }
        }
        let text = match rest.first() {
            Some(word) if command => word.known().map(ToOwned::to_owned),
            Some(_) => None,
            None => self.input(redirects),
        };
        match text {
            Some(text) => self.shell(&text, errexit, pipefail, at),
            None => self.record.doubt(&format!("what {name} runs is not known")),
        }
    }

    /// What comes in at the standard input.
    fn input(&mut self, redirects: &[Redirect]) -> Option<String> {
        match redirects.last() {
            Some(Redirect::Document(place)) => self.document(*place),
            Some(Redirect::Text(word)) => self.value(word),
            Some(Redirect::File(_)) => None,
            None => self.piped.clone(),
        }
    }

    /// `find … -exec command \;`.
    pub(super) fn find(&mut self, words: &[Field]) {
        let mut rest = words;
        while let Some(at) = rest
            .iter()
            .position(|word| matches!(word.text.as_str(), "-exec" | "-execdir" | "-ok" | "-okdir"))
        {
            rest = rest.get(at + 1..).unwrap_or_default();
            let end = rest.iter().position(|word| matches!(word.text.as_str(), ";" | "+"));
            let end = end.unwrap_or(rest.len());
            self.call(&rest[..end], &[], At::NOWHERE);
            rest = &rest[end..];
        }
        if words.iter().any(|word| word.open && word.text.is_empty()) {
            self.record.doubt("what find does is not known");
        }
    }

    pub(super) fn xargs(&mut self, words: &[Field]) {
        let wrapper = Wrapper {
            flags: &[
                "-0",
                "-r",
                "-t",
                "-x",
                "-p",
                "-0r",
                "-r0",
                "-i",
                "-l",
                "-e",
                "--null",
                "--no-run-if-empty",
                "--verbose",
                "--exit",
            ],
            valued: &[
                "-a",
                "-d",
                "-E",
                "-I",
                "-L",
                "-n",
                "-P",
                "-s",
                "-rn",
                "-0n",
                "-rI",
                "-rL",
                "--arg-file",
                "--delimiter",
                "--eof",
                "--replace",
                "--max-lines",
                "--max-args",
                "--max-procs",
                "--max-chars",
            ],
            before: 0,
        };
        let Some(command) = after_options(words, &wrapper) else {
            return self.record.doubt("an option of xargs is not understood");
        };
        let mut command = command.to_vec();
        command.push(Field {
            text: String::new(),
            open: true,
        });
        if command.len() > 1 {
            self.call(&command, &[], At::NOWHERE);
        }
    }

    /// `su - user -c "text"`.
    pub(super) fn other_user(&mut self, words: &[Field], at: At) {
        let place = words
            .iter()
            .position(|word| matches!(word.text.as_str(), "-c" | "--command"));
        let text = place.and_then(|place| words.get(place + 1)).and_then(Field::known);
        match text.map(ToOwned::to_owned) {
            Some(text) => self.shell(&text, false, false, at),
            None => self.record.doubt("what another user runs is not known"),
        }
    }
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `None` where one is not known.
fn after_options<'w>(words: &'w [Field], wrapper: &Wrapper) -> Option<&'w [Field]> {
    let mut rest = words;
    loop {
        let Some((word, after)) = rest.split_first() else {
            return Some(rest);
        };
        let text = word.text.as_str();
        if word.open && (text.is_empty() || text.starts_with('-') && !text.contains('=')) {
            return None;
        }
        if text == "--" {
            return Some(after);
        }
        if !text.starts_with('-') {
            return Some(rest);
        }
        let attached = |valued: &&&str| {
            let long = valued.starts_with("--");
            text.strip_prefix(**valued)
                .is_some_and(|value| !value.is_empty() && (!long || value.starts_with('=')))
        };
        // `nice -10`.
        let number = text[1..].parse::<u8>().is_ok() && wrapper.valued.contains(&"-n");
        rest = if wrapper.flags.contains(&text) || number {
            after
        } else if wrapper.valued.contains(&text) {
            after.get(1..).unwrap_or_default()
        } else if wrapper.valued.iter().find(attached).is_some() {
            after
        } else {
            return None;
        };
    }
}
