//! Layers: tar archives of what each build step changed, and the files of the image they make together (OCI image-spec,
//! layer.md).

pub mod archive;
pub mod assemble;
pub mod error;
pub(crate) mod links;
mod name;
pub mod read;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod unpack;
pub mod wanted;
