//! Package archives: made by hand in the tests, signed by real gpg and openssl, served by a real HTTP server on loopback
//! that can also lie, stall and loop.

mod apk;
mod fetching;
mod gnupg;
mod hostile;
mod signatures;
mod site;
mod suites;
mod surveys;
