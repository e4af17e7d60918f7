//! Why the stored form of an index cannot be used.

/// The stored form of an index is not what was written. It is made again from the archive; nothing else is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    #[error("not an index written by lowtide")]
    Foreign,
    #[error("kept in form {found}, this is form {known}")]
    OtherForm { found: u32, known: u32 },
    #[error("shorter or longer than it says of itself")]
    Size,
    #[error("its checksum does not fit: it was damaged")]
    Damaged,
}
