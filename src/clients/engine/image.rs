//! Images in the engine's store: inspect, tag, push, pull, export, remove.
