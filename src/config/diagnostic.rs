//! A problem with its place in the text, and how people and machines are shown it.
