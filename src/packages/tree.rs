//! A root filesystem's tar stream to a normalised file table.
