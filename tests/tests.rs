//! The library's integration tests, in one binary.

mod architectures;
mod conservation;
mod digits;
mod halves;
