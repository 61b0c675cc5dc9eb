//! One file a subcommand: its arguments, and what it does with them.

pub(crate) mod bench;
pub(crate) mod classify;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod demo;
pub(crate) mod devices;
pub(crate) mod evaluate;
pub(crate) mod explain;
mod explain_report;
pub(crate) mod fetch;
pub(crate) mod figure;
pub(crate) mod inspect;
pub(crate) mod models;
pub(crate) mod scenes;
pub(crate) mod switches;
