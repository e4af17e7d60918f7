//! Sentences shared by mail, terminal and pages.
