//! `.dockerignore` with Docker's own semantics.
