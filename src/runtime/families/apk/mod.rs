//! Alpine's repositories, and images of apk.

pub mod indexes;
mod survey;
