//! Why a Dockerfile cannot be read. Each names its line.

/// Line (counted from 1) and problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Dockerfile line {line}: {problem}")]
pub struct DockerfileError {
    pub line: usize,
    pub problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("there is no FROM")]
    NoFrom,
    #[error("{instruction} comes before the first FROM; only ARG may")]
    BeforeFrom { instruction: String },
    #[error("FROM takes an image and optionally AS and a name")]
    From,
    #[error("{name:?} cannot be the name of a stage")]
    StageName { name: String },
    #[error("the escape directive must be \\ or `, not {value:?}")]
    Escape { value: String },
    #[error("there is more than one directive {directive}")]
    Repeated { directive: String },
    #[error("the here-document {name:?} has no end")]
    HeredocOpen { name: String },
    #[error("the file is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("no stage is called {name:?}")]
    NoStage { name: String },
    #[error("the image name {text:?} is empty once its variables are filled in")]
    EmptyImage { text: String },
    #[error("{why}")]
    Reference {
        why: lowtide_model::image::InvalidReference,
    },
    #[error("variables are not filled in here: {text:?}; name a stage with FROM instead")]
    VariableInFrom { text: String },
    #[error("{text:?}: {why}")]
    Expansion { text: String, why: Expansion },
}

/// Why a word's variables cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Expansion {
    #[error("a brace is not closed")]
    Open,
    #[error("a variable has no name")]
    Name,
    #[error("the modifier {modifier:?} is not understood")]
    Modifier { modifier: String },
    #[error("{name} is not set: {message}")]
    Unset { name: String, message: String },
    #[error("it grows too long or nests too deep")]
    TooLong,
}

impl Problem {
    pub(super) fn at(self, line: usize) -> DockerfileError {
        DockerfileError { line, problem: self }
    }
}
