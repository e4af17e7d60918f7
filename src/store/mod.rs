//! The database: journal streams, outbox, evidence, config revisions. Rows ↔ model; SQL lives only here.
