//! What becomes of an effect that began and has no end.
