//! Which images a build of one target needs from outside.

use super::error::{DockerfileError, Expansion, Problem};
use super::expand::expand;
use super::parse::{Dockerfile, Stage, Word};
use crate::model::image::Reference;
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
}

/// The builder's own arguments, known before the first FROM without being declared (Dockerfile reference, "Automatic
/// platform ARGs in the global scope").
const AUTOMATIC: &[&str] = &[
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
    "TARGETVARIANT",
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDARCH",
    "BUILDVARIANT",
];

type Values = BTreeMap<String, String>;

/// What a word names.
pub(super) enum Named {
    Stage(usize),
    Scratch,
    Image(Reference),
}

impl Dockerfile {
    /// The images from outside that `target` (a stage's name or number; `None`: the last stage) needs, in the order of
    /// the file, except that the one the target itself stands on comes last. `args` are the build's arguments, with
    /// `TARGETPLATFORM` and its kin where the file uses them.
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
            match self.base(index, &values)? {
                Named::Stage(parent) => {
                    bottoms.insert(index, Some(parent));
                    open.push(parent);
                }
                Named::Scratch => {}
                Named::Image(reference) => {
                    bottoms.insert(index, None);
                    uses.push((index, self.from(stage, reference, &values)?));
                }
            }
            for source in &stage.sources {
                match self.source(&source.word)? {
                    Named::Stage(other) => open.push(other),
                    Named::Scratch => {}
                    Named::Image(reference) => {
                        let via = if source.mount { Via::Mount } else { Via::CopyFrom };
                        let line = source.word.line;
                        uses.push((
                            index,
                            BaseUse {
                                reference,
                                platform: None,
                                via,
                                line,
                            },
                        ));
                    }
                }
            }
        }
        let mut bottom = target;
        // Parents come before their children, so this ends.
        while let Some(Some(parent)) = bottoms.get(&bottom) {
            bottom = *parent;
        }
        uses.sort_by_key(|(index, found)| (*index == bottom && found.via == Via::From, found.line));
        Ok(uses.into_iter().map(|(_, found)| found).collect())
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
