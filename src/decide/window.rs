//! When unattended steps may be taken.
