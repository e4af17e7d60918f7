//! Which images a build of one target needs from outside.

use super::error::{DockerfileError, Expansion, Problem};
use super::expand::expand;
use super::parse::{Dockerfile, Source, Stage, Word};
use super::platform::AUTOMATIC;
use lowtide_model::image::Reference;
use std::collections::{BTreeMap, BTreeSet};

/// One place where an image from outside is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUse {
    /// Arguments substituted.
    pub reference: Reference,
    /// `--platform` of its FROM, arguments substituted. `None`: the platform that is built for.
    pub platform: Option<String>,
    pub via: Via,
    /// Where its instruction begins, counted from 1.
    pub line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    From,
    CopyFrom,
    Mount,
    /// `# syntax=`: the image that reads the Dockerfile.
    Frontend,
}

/// A build argument that names the frontend, whatever the Dockerfile says (BuildKit, `frontend/dockerfile/builder`).
pub(super) const FRONTEND: &str = "BUILDKIT_SYNTAX";
/// The frontend that the builder has inside.
const BUILT_IN: &str = "dockerfile.v0";

type Values = BTreeMap<String, String>;

/// What a word names.
pub(super) enum Named {
    Stage(usize),
    Scratch,
    Image(Reference),
}

impl Dockerfile {
    /// The images from outside that `target` (a stage's name or number; `None`: the last stage) needs, in the order of
    /// the file, except that the one the target itself stands on comes last. `args` are all of the build's arguments
    /// ([`super::platform::arguments`]).
    ///
    /// # Errors
    /// An unknown target, or a word that names no image; the line is that of the word.
    pub fn external_bases(&self, target: Option<&str>, args: &Values) -> Result<Vec<BaseUse>, DockerfileError> {
        let values = self.values(args)?;
        let target = self.target(target)?;
        let mut reached = BTreeSet::new();
        let mut open = vec![target];
        let mut uses = Vec::new();
        let mut bottoms = BTreeMap::new();
        while let Some(index) = open.pop() {
            let Some(stage) = self.stages.get(index).filter(|_| reached.insert(index)) else {
                continue;
            };
            let mut triggered: &[Source] = &[];
            match self.base(index, &values)? {
                Named::Stage(parent) => {
                    bottoms.insert(index, Some(parent));
                    open.push(parent);
                    triggered = self.stages.get(parent).map_or(&[], |stage| &stage.triggers.sources);
                }
                Named::Scratch => {}
                Named::Image(reference) => {
                    bottoms.insert(index, None);
                    uses.push((index, self.from(stage, reference, &values)?));
                }
            }
            for source in stage.sources.iter().chain(triggered) {
                match self.source(&source.word)? {
                    Named::Stage(other) => open.push(other),
                    Named::Scratch => {}
                    Named::Image(reference) => uses.push((index, used(reference, source))),
                }
            }
        }
        let mut bottom = target;
        // Parents come before their children, so this ends.
        while let Some(Some(parent)) = bottoms.get(&bottom) {
            bottom = *parent;
        }
        uses.sort_by_key(|(index, found)| (*index == bottom && found.via == Via::From, found.line));
        let frontend = self.frontend(args)?;
        Ok(frontend
            .into_iter()
            .chain(uses.into_iter().map(|(_, found)| found))
            .collect())
    }

    fn frontend(&self, args: &Values) -> Result<Option<BaseUse>, DockerfileError> {
        let (text, line) = match (args.get(FRONTEND), &self.syntax) {
            (Some(text), _) => (text.split(' ').next().unwrap_or_default(), 1),
            (None, Some(word)) => (word.text.as_str(), word.line),
            (None, None) => return Ok(None),
        };
        if text == BUILT_IN || text.is_empty() {
            return Ok(None);
        }
        let reference = text.parse().map_err(|why| Problem::Reference { why }.at(line))?;
        Ok(Some(BaseUse {
            reference,
            platform: None,
            via: Via::Frontend,
            line,
        }))
    }

    fn from(&self, stage: &Stage, reference: Reference, values: &Values) -> Result<BaseUse, DockerfileError> {
        let platform = match &stage.platform {
            Some(word) => Some(self.expanded(word, values)?).filter(|platform| !platform.is_empty()),
            None => None,
        };
        Ok(BaseUse {
            reference,
            platform,
            via: Via::From,
            line: stage.base.line,
        })
    }

    pub(super) fn target(&self, target: Option<&str>) -> Result<usize, DockerfileError> {
        let last = self.stages.len() - 1;
        let Some(target) = target else { return Ok(last) };
        let by_number = || target.parse().ok().filter(|n| *n <= last);
        self.stage_called(target, self.stages.len())
            .or_else(by_number)
            .ok_or_else(|| {
                let name = target.to_owned();
                Problem::NoStage { name }.at(self.stages[last].base.line)
            })
    }

    /// Among the first `before` stages; of two with one name the later counts.
    fn stage_called(&self, name: &str, before: usize) -> Option<usize> {
        let same = |stage: &Stage| stage.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name));
        self.stages[..before].iter().rposition(same)
    }

    /// The arguments declared before the first FROM, each default seeing those above it.
    pub(super) fn values(&self, args: &Values) -> Result<Values, DockerfileError> {
        let automatic = |(name, _): &(&String, &String)| AUTOMATIC.contains(&name.as_str());
        let mut values: Values = args
            .iter()
            .filter(automatic)
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        for global in &self.globals {
            if let Some(value) = args.get(&global.name) {
                values.insert(global.name.clone(), value.clone());
            } else if let Some(default) = &global.default {
                let value = self.filled(default, global.line, &values)?;
                values.insert(global.name.clone(), value);
            }
        }
        Ok(values)
    }

    pub(super) fn base(&self, index: usize, values: &Values) -> Result<Named, DockerfileError> {
        let word = &self.stages[index].base;
        let name = self.expanded(word, values)?;
        if let Some(stage) = self.stage_called(&name, index) {
            return Ok(Named::Stage(stage));
        }
        if name.is_empty() {
            let text = word.text.clone();
            return Err(Problem::EmptyImage { text }.at(word.line));
        }
        image(&name, word.line)
    }

    /// BuildKit fills no variables in here, and a later stage may be named.
    pub(super) fn source(&self, word: &Word) -> Result<Named, DockerfileError> {
        let text = word.text.clone();
        if text.contains('$') {
            return Err(Problem::VariableInFrom { text }.at(word.line));
        }
        if let Ok(number) = text.parse::<usize>() {
            let known = (number < self.stages.len()).then_some(Named::Stage(number));
            return known.ok_or_else(|| Problem::NoStage { name: text }.at(word.line));
        }
        match self.stage_called(&text, self.stages.len()) {
            Some(stage) => Ok(Named::Stage(stage)),
            None => image(&text, word.line),
        }
    }

    fn expanded(&self, word: &Word, values: &Values) -> Result<String, DockerfileError> {
        self.filled(&word.text, word.line, values)
    }

    fn filled(&self, text: &str, line: usize, values: &Values) -> Result<String, DockerfileError> {
        expand(text, self.escape, &|name| values.get(name).cloned()).map_err(|why: Expansion| {
            let text = text.to_owned();
            Problem::Expansion { text, why }.at(line)
        })
    }
}

fn used(reference: Reference, source: &Source) -> BaseUse {
    BaseUse {
        reference,
        platform: None,
        via: if source.mount { Via::Mount } else { Via::CopyFrom },
        line: source.word.line,
    }
}

fn image(name: &str, line: usize) -> Result<Named, DockerfileError> {
    if name == "scratch" {
        return Ok(Named::Scratch);
    }
    name.parse()
        .map(Named::Image)
        .map_err(|why| Problem::Reference { why }.at(line))
}

#[cfg(test)]
#[path = "bases_tests.rs"]
mod tests;
