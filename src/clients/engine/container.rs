//! Containers of our own: tests, sidecars, probes.
