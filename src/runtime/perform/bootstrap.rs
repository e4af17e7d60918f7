//! Launch the candidate with the testing tools on; they arrive.
