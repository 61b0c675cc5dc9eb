//! The library's integration tests, in one binary.

mod conservation;
mod digits;
mod halves;
mod house;
mod models;
mod program;
mod rules;
mod shaders;
mod support;
mod twins;
