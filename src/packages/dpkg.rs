//! dpkg's status database.
