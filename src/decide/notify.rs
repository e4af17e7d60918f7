//! Who hears of what.
