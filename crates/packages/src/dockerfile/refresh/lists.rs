//! Which commands of a text are sure to succeed whenever the text does (POSIX.1-2017, XCU 2.8.2 and 2.9).

use super::endings::{fails, leaves_badly};
use super::record::{Record, Sure};
use super::values::Variables;
use crate::dockerfile::shell::reader::read;
use crate::dockerfile::shell::tree::{Command, Item, Join, List, Pipeline, Script, What, Word};
use std::collections::BTreeMap;

/// Commands that are looked at in one RUN, those of loops and functions each time.
const BUDGET: usize = 4000;
/// Shells in shells, functions in functions.
const DEPTH: usize = 12;
/// Rounds of a loop that are looked at one by one.
const ROUNDS: usize = 32;

/// Where a command stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    /// It is reached whenever the build succeeds.
    pub(super) runs: bool,
    /// And it succeeds then.
    pub(super) must: bool,
    /// `set -e` does not apply here: in a condition, after `!`, or in a chain of `&&` and `||`.
    guarded: bool,
}

impl At {
    pub(super) const NOWHERE: At = At {
        runs: false,
        must: false,
        guarded: true,
    };

    pub(super) fn sure(self) -> Sure {
        if self.runs && self.must {
            Sure::Yes
        } else {
            Sure::Perhaps
        }
    }
}

/// Goes through what one RUN does.
pub(super) struct Runner<'r> {
    pub(super) record: &'r mut Record,
    pub(super) variables: Variables,
    functions: BTreeMap<String, Command>,
    /// The text of each here-document; `None` if it contains expansions.
    documents: Vec<Option<String>>,
    /// Output of the previous commands in the pipeline, if it is known.
    pub(super) piped: Option<String>,
    pub(super) in_function: bool,
    pub(super) errexit: bool,
    pub(super) pipefail: bool,
    /// A command may have ended this shell, successfully or not, without failing the build.
    left: bool,
    /// If this shell ends with an error, the build fails.
    must: bool,
    depth: usize,
    budget: usize,
}

impl<'r> Runner<'r> {
    pub(super) fn new(record: &'r mut Record, environment: &BTreeMap<String, String>) -> Self {
        Self {
            record,
            variables: Variables::of(environment),
            functions: BTreeMap::new(),
            documents: Vec::new(),
            piped: None,
            in_function: false,
            errexit: false,
            pipefail: false,
            left: false,
            must: true,
            depth: DEPTH,
            budget: BUDGET,
        }
    }

    /// Runs one program without a shell; the build needs it to succeed.
    pub(super) fn process(&mut self, words: &[String]) {
        let words: Vec<_> = words
            .iter()
            .map(|word| super::values::Field {
                text: word.clone(),
                open: false,
            })
            .collect();
        self.call(&words, &[], TOP);
    }

    /// Runs a text in a new shell, with `errexit` and `pipefail` set as given.
    pub(super) fn shell(&mut self, text: &str, errexit: bool, pipefail: bool, at: At) {
        let script = match read(text) {
            Ok(script) => script,
            Err(why) => return self.record.doubt(&why.to_string()),
        };
        let inside = self.variables.exported();
        let functions = std::mem::take(&mut self.functions);
        let variables = std::mem::replace(&mut self.variables, inside);
        let options = (self.errexit, self.pipefail);
        (self.errexit, self.pipefail) = (errexit, pipefail);
        self.script_in_subshell(&script, at, false);
        (self.errexit, self.pipefail) = options;
        self.variables = variables;
        self.functions = functions;
    }

    /// `$(…)`: a subshell. Its output is not known, and nothing depends on its exit status.
    pub(super) fn substitution(&mut self, script: &Script) {
        self.script_in_subshell(script, At::NOWHERE, true);
    }

    /// A text in this very shell: `eval`.
    pub(super) fn evaluate(&mut self, text: &str, at: At) {
        match read(text) {
            Ok(script) => self.script(&script, at),
            Err(why) => self.record.doubt(&why.to_string()),
        }
    }

    fn script_in_subshell(&mut self, script: &Script, at: At, isolated: bool) {
        let variables = isolated.then(|| self.variables.clone());
        let (left, must) = (self.left, self.must);
        (self.left, self.must) = (false, at.must && at.runs);
        self.script(
            script,
            At {
                guarded: at.guarded && isolated,
                ..at
            },
        );
        (self.left, self.must) = (left, must);
        if let Some(variables) = variables {
            self.variables = variables;
        }
    }

    fn script(&mut self, script: &Script, at: At) {
        let documents = script.documents.iter().map(|document| {
            let plain = document.literal || !document.text.contains(['$', '`', '\\']);
            plain.then(|| document.text.clone())
        });
        let documents = std::mem::replace(&mut self.documents, documents.collect());
        self.deeper(|runner| runner.list(&script.list, at));
        self.documents = documents;
    }

    /// The text of a here-document; `None` if it contains expansions.
    pub(super) fn document(&self, place: usize) -> Option<String> {
        self.documents.get(place).cloned().flatten()
    }

    fn deeper(&mut self, work: impl FnOnce(&mut Self)) {
        match self.depth.checked_sub(1) {
            Some(depth) => {
                self.depth = depth;
                work(self);
                self.depth += 1;
            }
            None => self.record.doubt("it nests too deep"),
        }
    }

    fn list(&mut self, list: &List, at: At) {
        if self.budget == 0 {
            return self.record.doubt("it is too long");
        }
        let last = list.0.len().saturating_sub(1);
        for (place, item) in list.0.iter().enumerate() {
            let stops = self.errexit && self.must && !at.guarded && item.rest.is_empty() && !item.first.negated;
            let must = if place == last { at.must } else { stops };
            let runs = at.runs && !self.left && !item.background;
            self.item(
                item,
                At {
                    runs,
                    must: must && runs,
                    ..at
                },
            );
        }
    }

    fn item(&mut self, item: &Item, at: At) {
        // Backwards, to find which pipelines have to succeed for the whole item to succeed.
        let mut placed = Vec::with_capacity(item.rest.len());
        let mut must = at.must;
        for (join, pipeline) in item.rest.iter().rev() {
            let reached = *join == Join::And && must;
            placed.push(At {
                runs: reached,
                must: reached,
                guarded: at.guarded,
            });
            must = match join {
                Join::And => must,
                Join::Or => at.runs && (must && fails(pipeline) || self.must && leaves_badly(pipeline)),
            };
        }
        let chain = !item.rest.is_empty();
        let guarded = at.guarded || chain;
        self.pipeline(&item.first, At { must, guarded, ..at });
        for ((_, pipeline), mut place) in item.rest.iter().zip(placed.into_iter().rev()) {
            place.runs &= !self.left;
            place.must &= place.runs;
            self.pipeline(pipeline, place);
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, at: At) {
        let inside = if pipeline.negated {
            At {
                must: false,
                guarded: true,
                ..at
            }
        } else {
            at
        };
        let [commands @ .., last] = pipeline.commands.as_slice() else {
            return;
        };
        if commands.is_empty() {
            return self.command(last, inside);
        }
        let before = At {
            must: inside.must && self.pipefail,
            ..inside
        };
        let piped = self.said(commands);
        for command in commands {
            self.subshell(before, |runner| runner.command(command, before));
        }
        let piped = std::mem::replace(&mut self.piped, piped);
        self.subshell(inside, |runner| runner.command(last, inside));
        self.piped = piped;
    }

    /// Variables, options and exits inside do not affect the outer shell.
    fn subshell(&mut self, at: At, work: impl FnOnce(&mut Self)) {
        let variables = self.variables.clone();
        let options = (self.errexit, self.pipefail, self.left, self.must);
        (self.left, self.must) = (false, at.must && at.runs);
        work(self);
        (self.errexit, self.pipefail, self.left, self.must) = options;
        self.variables = variables;
    }

    fn command(&mut self, command: &Command, at: At) {
        match self.budget.checked_sub(1) {
            Some(budget) => self.budget = budget,
            None => return self.record.doubt("it is too long"),
        }
        self.redirects(&command.redirects);
        match &command.what {
            What::Simple(simple) => self.simple(simple, &command.redirects, at),
            What::Group(list) => self.deeper(|runner| runner.list(list, at)),
            What::Subshell(list) => self.deeper(|runner| runner.subshell(at, |runner| runner.list(list, at))),
            What::If { arms, otherwise } => {
                let condition = At {
                    must: false,
                    guarded: true,
                    ..at
                };
                let mut reached = condition;
                for (test, body) in arms {
                    self.deeper(|runner| runner.list(test, reached));
                    self.branch(body, at);
                    reached = At::NOWHERE;
                }
                if let Some(body) = otherwise {
                    self.branch(body, at);
                }
            }
            What::Loop { condition, body } => self.repeated(|runner| {
                runner.branch(condition, At::NOWHERE);
                runner.branch(body, at);
            }),
            What::For { name, words, body } => self.each(name, words, body, at),
            What::Case { subject, arms } => {
                self.fields(subject);
                arms.iter().for_each(|arm| self.branch(arm, at));
            }
            What::Function { name, body } => {
                self.functions.insert(name.clone(), (**body).clone());
            }
            What::Test(words) => {
                self.all_fields(words);
            }
        }
    }

    /// A list that may run or not.
    fn branch(&mut self, list: &List, at: At) {
        let place = At {
            guarded: at.guarded,
            ..At::NOWHERE
        };
        self.deeper(|runner| runner.list(list, place));
    }

    /// Twice, so that the second round sees what the first one left.
    fn repeated(&mut self, mut round: impl FnMut(&mut Self)) {
        round(self);
        round(self);
    }

    fn each(&mut self, name: &str, words: &[Word], body: &List, at: At) {
        let fields = self.all_fields(words);
        for field in fields.iter().take(ROUNDS) {
            self.variables.set(name, field.known().map(ToOwned::to_owned), false);
            self.branch(body, at);
        }
        if fields.len() > ROUNDS {
            self.variables.set(name, None, false);
        }
        self.repeated(|runner| runner.branch(body, at));
        self.variables.set(name, None, false);
    }

    /// Runs the function of this name, if the text defines one; returns whether it does. Its arguments and its exit
    /// status are not known.
    pub(super) fn function(&mut self, name: &str) -> bool {
        let Some(body) = self.functions.get(name).cloned() else {
            return false;
        };
        let within = std::mem::replace(&mut self.in_function, true);
        // A function's here-documents belong to the text that defines it, which may be another one.
        let documents = std::mem::take(&mut self.documents);
        self.deeper(|runner| runner.command(&body, At::NOWHERE));
        self.documents = documents;
        self.in_function = within;
        true
    }

    /// This shell may end here; `badly`: for sure with an error.
    pub(super) fn leave(&mut self, badly: bool) {
        self.left |= !(badly && self.must);
    }
}

const TOP: At = At {
    runs: true,
    must: true,
    guarded: false,
};
