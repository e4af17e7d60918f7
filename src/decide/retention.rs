//! What may be deleted.
