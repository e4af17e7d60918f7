//! JUnit XML to counts and names.
