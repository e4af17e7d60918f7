//! Dockerfiles: stages, bases, and pinning the bases to digests.
