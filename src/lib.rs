//! Explains the decisions of convolutional networks, pixel by pixel: contrastive layer-wise
//! relevance propagation (Gu, Yang & Tresp 2018) and its relatives, in handwritten WGSL on any
//! GPU that wgpu reaches, and on the CPU.
//!
//! The work is a value: a network's graph, a composite of rules, methods and targets are lowered
//! once to a flat program, which a backend executes. Two things hold throughout: *a backend
//! cannot tell which network or rule it runs; a rule cannot tell which backend runs it.*
//!
//! The floors, from the bottom; a folder uses only those below it:
//! [`error`], [`num`], `aligned` | [`mod@file`], [`tensor`], [`kernels`], [`scene`], [`labels`] | [`weight`] | [`graph`],
//! [`image`] | [`similarity`] | [`models`], [`rules`], [`switches`] | [`methods`] | [`program`] | [`backend`] |
//! [`explainer`]; beside it [`evaluation`], which needs no more than [`image`] and [`scene`].
//!
//! Start with [`Explainer`].

mod aligned;
pub mod backend;
pub mod error;
pub mod evaluation;
pub mod explainer;
pub mod file;
pub mod graph;
pub mod image;
pub mod kernels;
pub mod labels;
pub mod methods;
pub mod models;
pub mod num;
pub mod program;
pub mod rules;
pub mod scene;
pub mod similarity;
pub mod switches;
pub mod tensor;
pub mod weight;

pub use error::{Error, Result};
pub use explainer::{
    Cancel, Explained, Explainer, ExplainerBuilder, Explanation, Goal, Ledger, Request, Sampling,
    Target, Warning,
};
pub use methods::Method;
pub use tensor::{Shape, Tensor};
#[cfg(feature = "gpu")]
pub use wgpu;

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
