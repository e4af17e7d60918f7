//! Package repositories for the whole fleet: each is asked once, verified by each image's own keys, and kept between
//! runs. How that is done for each family of package managers is in `runtime/families`.

pub(crate) mod record;
pub mod visit;
