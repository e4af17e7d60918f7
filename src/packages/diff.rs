//! What differs between two inventories, and the content digest of one.
