//! One simple command: which program is called, and what that means for packages.

use super::harmless;
use super::lists::{At, Runner};
use super::program::Call;
use super::values::Field;
use crate::dockerfile::shell::tree::{Command, Redirect, Simple, What};
use crate::families::list;

/// Where a distribution installs its programs. Elsewhere the same name may be anything.
const PLACES: &[&str] = &["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/"];
/// What `/etc/os-release` sets (os-release(5)).
const OS_RELEASE: &[&str] = &[
    "NAME",
    "ID",
    "ID_LIKE",
    "PRETTY_NAME",
    "CPE_NAME",
    "VARIANT",
    "VARIANT_ID",
    "VERSION",
    "VERSION_ID",
    "VERSION_CODENAME",
    "BUILD_ID",
    "IMAGE_ID",
    "IMAGE_VERSION",
    "HOME_URL",
    "SUPPORT_URL",
    "BUG_REPORT_URL",
    "LOGO",
    "ANSI_COLOR",
    "UBUNTU_CODENAME",
    "DISTRIB_ID",
    "DISTRIB_RELEASE",
    "DISTRIB_CODENAME",
    "DISTRIB_DESCRIPTION",
    "DEBIAN_CODENAME",
];

impl Runner<'_> {
    pub(super) fn simple(&mut self, simple: &Simple, redirects: &[Redirect], at: At) {
        let mut assigned = Vec::new();
        for (name, word) in &simple.assignments {
            let value = word.as_ref().and_then(|word| self.value(word));
            assigned.push((name.as_str(), value));
        }
        let words = self.all_fields(&simple.words);
        if simple.words.is_empty() {
            for (name, value) in assigned {
                self.assign(name, value, at, false);
            }
            return;
        }
        if assigned.is_empty() {
            return self.call(&words, redirects, at);
        }
        // The assignments apply to this program only. In front of a shell builtin, whether they persist depends on the
        // shell.
        let before = self.variables.clone();
        let inside = words
            .first()
            .is_none_or(|word| harmless::BUILT_IN.contains(&word.text.as_str()) || word.open);
        let names: Vec<&str> = assigned.iter().map(|(name, _)| *name).collect();
        for (name, value) in assigned {
            self.variables.set(name, value, true);
        }
        self.call(&words, redirects, at);
        if inside {
            names.iter().for_each(|name| self.variables.set(name, None, false));
        } else {
            self.variables = before;
        }
    }

    fn assign(&mut self, name: &str, value: Option<String>, at: At, export: bool) {
        self.variables.set(name, value.filter(|_| at.runs), export);
    }

    pub(super) fn redirects(&mut self, redirects: &[Redirect]) {
        for redirect in redirects {
            match redirect {
                Redirect::File(word) => {
                    let fields = self.fields(word);
                    if fields.iter().any(|field| harmless::mentions_database(&field.text)) {
                        self.record.doubt("the package database itself is written");
                    }
                    if fields.iter().any(|field| harmless::mentions_sources(&field.text)) {
                        self.record.sources();
                    }
                }
                Redirect::Text(word) => {
                    self.value(word);
                }
                Redirect::Document(_) => {}
            }
        }
    }

    /// The output of a single `echo` or `printf`, if it is known.
    pub(super) fn said(&mut self, commands: &[Command]) -> Option<String> {
        let [command] = commands else { return None };
        let What::Simple(simple) = &command.what else {
            return None;
        };
        let fields = self.all_fields(&simple.words);
        let words: Option<Vec<&str>> = fields.iter().map(Field::known).collect();
        match words?.split_first() {
            Some((&("echo" | "printf"), rest)) => Some(rest.join(" ").replace("\\n", "\n")),
            Some(_) | None => None,
        }
    }

    /// A program or a word of the shell with its arguments.
    pub(super) fn call(&mut self, words: &[Field], redirects: &[Redirect], at: At) {
        let Some((program, arguments)) = words.split_first() else {
            return;
        };
        let Some(name) = program.known() else {
            return self.record.doubt("which program is called is not known");
        };
        let name = match PLACES.iter().find_map(|place| name.strip_prefix(place)) {
            Some(name) => name,
            None if name.contains('/') => return self.unknown(name),
            None if self.function(name) => return,
            None => name,
        };
        if let Some(program) = list::all().find_map(|family| family.program(name)) {
            let of_it = Call {
                program: name,
                arguments,
                sure: at.sure(),
                variables: &self.variables,
                piped: self.piped.as_deref(),
            };
            return program(&of_it, self.record);
        }
        match name {
            "sh" | "bash" | "ash" | "dash" => self.shell_program(name, arguments, redirects, at),
            "busybox" => self.call(arguments, redirects, at),
            "find" => self.find(arguments),
            "xargs" => self.xargs(arguments),
            "su" | "runuser" => self.other_user(arguments, at),
            "eval" => self.eval(arguments, at),
            "." | "source" => self.source(arguments),
            "trap" => self.trap(arguments),
            "set" => self.set(arguments, at),
            "exit" => self.leave(arguments.first().and_then(Field::known).is_some_and(is_error)),
            "return" if self.in_function => {}
            "return" => self.leave(false),
            "exec" if arguments.is_empty() => {}
            "exec" => {
                self.call(arguments, redirects, at);
                self.leave(false);
            }
            "export" | "readonly" | "local" | "declare" | "typeset" => self.declare(name, arguments, at),
            "unset" | "read" | "mapfile" | "readarray" | "getopts" | "let" => {
                arguments.iter().for_each(|word| self.forget(word));
            }
            "printf" => {
                if arguments.first().is_some_and(|word| word.text == "-v") {
                    arguments.iter().skip(1).take(1).for_each(|word| self.forget(word));
                }
            }
            _ => match self.wrapped(name, arguments, redirects, at) {
                Some(()) => {}
                None if harmless::leaves_packages(name, arguments) => {
                    if harmless::changes_sources(name, arguments) {
                        self.record.sources();
                    }
                }
                None => self.unknown(name),
            },
        }
    }

    fn unknown(&mut self, name: &str) {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
        self.record.doubt(&format!("what {shown} does is not known"));
    }

    fn forget(&mut self, word: &Field) {
        match word.known() {
            Some(name) => self.variables.set(name.split('=').next().unwrap_or(name), None, false),
            None => self.variables.forget_all(),
        }
    }

    fn declare(&mut self, name: &str, arguments: &[Field], at: At) {
        let mut export = name == "export";
        for word in arguments {
            if word.text.starts_with(['-', '+']) {
                export |= word.text.contains('x');
                continue;
            }
            match word.text.split_once('=') {
                Some((name, value)) => {
                    let value = (!word.open).then(|| value.to_owned());
                    self.assign(name, value, at, export);
                }
                None if word.open => self.variables.forget_all(),
                None if name == "export" || name == "readonly" => self.variables.export(&word.text),
                None => self.variables.set(&word.text, None, false),
            }
        }
    }

    /// An option counts as off as soon as it may be switched off, and as on only if it is sure to be switched on.
    fn set(&mut self, arguments: &[Field], at: At) {
        let mut rest = arguments.iter();
        while let Some(word) = rest.next() {
            let on = word.text.starts_with('-');
            let Some(letters) = word.text.strip_prefix(['-', '+']) else {
                if word.open {
                    (self.errexit, self.pipefail) = (false, false);
                }
                return;
            };
            for letter in letters.chars() {
                let named = if letter == 'o' { rest.next() } else { None };
                let option = match (letter, named.map(|word| word.text.as_str())) {
                    ('e', _) | (_, Some("errexit")) => &mut self.errexit,
                    (_, Some("pipefail")) => &mut self.pipefail,
                    _ => continue,
                };
                *option = on && (at.runs || *option);
            }
        }
    }

    fn eval(&mut self, arguments: &[Field], at: At) {
        let words: Option<Vec<&str>> = arguments.iter().map(Field::known).collect();
        match words {
            Some(words) => self.evaluate(&words.join(" "), at),
            None => {
                self.variables.forget_all();
                self.record.doubt("the text of an eval is not known");
            }
        }
    }

    fn source(&mut self, arguments: &[Field]) {
        match arguments.first().and_then(Field::known) {
            Some("/etc/os-release" | "/usr/lib/os-release" | "/etc/lsb-release") => {
                for name in OS_RELEASE {
                    self.variables.set(name, None, false);
                }
            }
            Some(_) | None => {
                self.variables.forget_all();
                self.record.doubt("another file is run");
            }
        }
    }

    /// A trap's command runs later, at a time that is not modelled.
    fn trap(&mut self, arguments: &[Field]) {
        match arguments.first().map(|word| (word.known(), &word.text)) {
            None | Some((Some("-" | ""), _)) => {}
            Some((Some(text), _)) if !text.starts_with('-') => {
                let text = text.to_owned();
                self.evaluate(&text, At::NOWHERE);
            }
            Some(_) => self.record.doubt("the text of a trap is not known"),
        }
    }
}

fn is_error(code: &str) -> bool {
    code.parse::<u8>().is_ok_and(|code| code != 0)
}
