//! The HTML side of a mail.
