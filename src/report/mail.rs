//! A notice becomes a mail: subject, text, HTML.
