//! Is a container ready?
