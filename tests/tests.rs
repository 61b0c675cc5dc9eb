//! The library's integration tests, in one binary.

mod architectures;
mod conservation;
mod digits;
mod examples;
mod fast;
mod folding;
mod halves;
mod house;
mod joins;
mod models;
#[cfg(feature = "gpu")]
mod on_gpu;
mod pointing;
mod program;
mod properties;
mod requests;
mod rules;
mod shaders;
mod support;
mod switches;
mod twins;
