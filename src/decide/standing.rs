//! What stays true of an app between runs: a fold of its events.
