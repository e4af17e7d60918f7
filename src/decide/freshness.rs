//! Would publishing change anything?
