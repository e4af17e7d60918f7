//! Every prefix of a finished cycle's journal, resumed.
