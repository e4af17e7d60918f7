//! Signatures of package archives, checked as gpgv does it for apt (apt-secure(8)): OpenPGP (RFC 9580, RFC 4880).

mod armor;
mod cleartext;
pub mod error;
mod key;
pub mod keyring;
pub mod verify;
