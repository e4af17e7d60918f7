//! Registry credentials: our configuration, Docker's config file, credential helpers.
