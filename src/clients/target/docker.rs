//! Containers on a plain Docker engine, recreated faithfully.
