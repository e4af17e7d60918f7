//! What is done with a command target, and how that ends.

use super::model::{Aim, CommandUnit, TargetRecord};
use crate::kinds::kind::{About, KindOutcome, KindStep, Role, StepEffect};
use jiff::Timestamp;
use lowtide_model::rollout::Which;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing done with a command target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum CommandStep {
    /// Is the program there, and what does the app's record say runs on the target?
    Preflight,
    Run {
        aim: Box<Aim>,
    },
    /// Probe until the target responds, within `deadline`.
    AwaitAnswer {
        which: Which,
        deadline: Timestamp,
    },
}

impl KindStep for CommandStep {
    fn about(&self) -> About {
        // A command is one unit. It may run long, and its target may take long to respond.
        match self {
            CommandStep::Preflight => About::all(StepEffect::Harmless, Role::Preflight),
            CommandStep::Run { .. } => About::unit(0, StepEffect::Changes, Role::Breakable),
            CommandStep::AwaitAnswer { .. } => About::unit(0, StepEffect::Harmless, Role::Breakable),
        }
    }
}

impl fmt::Display for CommandStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandStep::Preflight => f.write_str("preflight"),
            CommandStep::Run { aim } => write!(f, "run command {}", aim.direction.as_str()),
            CommandStep::AwaitAnswer { .. } => f.write_str("wait until the target answers"),
        }
    }
}

/// How a step ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum CommandOutcome {
    Preflighted {
        command: CommandUnit,
    },
    /// The program exited with 0; the end of what it wrote.
    Ran {
        output: Vec<String>,
    },
    Answered,
}

impl KindOutcome for CommandOutcome {
    fn note(&self) -> String {
        match self {
            CommandOutcome::Preflighted { command } => ran_before(command),
            CommandOutcome::Ran { .. } => "exit code 0".to_owned(),
            CommandOutcome::Answered => String::new(),
        }
    }

    fn masked(self, mask: &dyn Fn(&str) -> String) -> Self {
        match self {
            CommandOutcome::Ran { output } => CommandOutcome::Ran {
                output: output.iter().map(|line| mask(line)).collect(),
            },
            CommandOutcome::Preflighted { .. } | CommandOutcome::Answered => self,
        }
    }
}

/// What the record says of the target before the rollout.
fn ran_before(unit: &CommandUnit) -> String {
    let Some(before) = &unit.before else {
        return "the first release here".to_owned();
    };
    match unit.record {
        TargetRecord::Certain => format!("{} before", before.tag),
        TargetRecord::Doubtful => format!("{} before, which is not certain", before.tag),
    }
}
