//! From a Dockerfile to what its build does about packages.

use super::lists::Runner;
use super::record::Record;
use crate::dockerfile::bases::Named;
use crate::dockerfile::error::DockerfileError;
use crate::dockerfile::instruction::{Instruction, Run, Said};
use crate::dockerfile::parse::Dockerfile;
use crate::dockerfile::scope::Scope;
use lowtide_model::package_state::Refresh;
use std::collections::BTreeMap;

type Values = BTreeMap<String, String>;

impl Dockerfile {
    /// Reads the RUN lines of `target` (a stage's name or number; `None`: the last stage) and of the stages it stands on.
    /// Stages that files are only copied from do not count: their packages are not in the image. `args` are all of the
    /// build's arguments ([`crate::dockerfile::platform::arguments`]).
    ///
    /// # Errors
    /// As [`Dockerfile::external_bases`].
    pub fn refresh(&self, target: Option<&str>, args: &Values) -> Result<Refresh, DockerfileError> {
        let globals = self.values(args)?;
        let mut base = None;
        let mut chain = Vec::new();
        let mut next = Some(self.target(target)?);
        while let Some(index) = next {
            chain.push(index);
            next = match self.base(index, &globals)? {
                // Parents come before their children, so this ends.
                Named::Stage(parent) => Some(parent),
                Named::Scratch => None,
                Named::Image(reference) => {
                    base = Some(reference);
                    None
                }
            };
        }
        let mut build = Build {
            escape: self.escape,
            args,
            globals: &globals,
            scope: Scope::default(),
            shell: DEFAULT.map(ToOwned::to_owned).into(),
            record: Record::default(),
        };
        let mut triggers: &[Instruction] = &[];
        for stage in chain.iter().rev().filter_map(|index| self.stages.get(*index)) {
            build.instructions(triggers);
            build.instructions(&stage.instructions);
            triggers = &stage.triggers.instructions;
        }
        Ok(build.record.finish(base))
    }
}

const DEFAULT: [&str; 2] = ["/bin/sh", "-c"];

/// A build as far as it was read.
struct Build<'a> {
    escape: char,
    args: &'a Values,
    globals: &'a Values,
    scope: Scope,
    /// Of the last SHELL; a stage has its parent's.
    shell: Vec<String>,
    record: Record,
}

impl Build<'_> {
    fn instructions(&mut self, instructions: &[Instruction]) {
        for instruction in instructions {
            match instruction {
                Instruction::Arg { name, default } => {
                    let default = default.as_deref();
                    self.scope.arg(name, default, self.escape, self.args, self.globals);
                }
                Instruction::Env { name, value } => self.scope.env(name, value, self.escape),
                Instruction::Shell(words) => self.shell.clone_from(words),
                Instruction::Overlay { line } => {
                    self.record.begin(*line);
                    self.record
                        .doubt("files of another stage or image may replace the package database");
                }
                Instruction::Sources { line } => {
                    self.record.begin(*line);
                    self.record.sources();
                }
                Instruction::Run(run) => self.run(run),
            }
        }
    }

    fn run(&mut self, run: &Run) {
        self.record.begin(run.line);
        let mut words: Vec<String> = self.shell.clone();
        match &run.said {
            Said::Shell(text) => words.push(text.clone()),
            Said::Exec(exec) => words.clone_from(exec),
            Said::Script { interpreter, text } => {
                words = interpreter.split_whitespace().map(ToOwned::to_owned).collect();
                words.extend(["-c".to_owned(), text.clone()]);
            }
        }
        Runner::new(&mut self.record, self.scope.known()).process(&words);
    }
}
