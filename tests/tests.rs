//! The library's integration tests, in one binary.

mod architectures;
mod conservation;
mod digits;
mod folding;
mod halves;
mod house;
mod models;
mod program;
mod rules;
mod shaders;
mod support;
mod switches;
mod twins;
