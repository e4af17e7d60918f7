//! apk's installed database.
