//! Tables and one-line answers for a terminal.
