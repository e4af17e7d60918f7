//! Building an image: BuildKit, or the classic builder where an engine has none.
