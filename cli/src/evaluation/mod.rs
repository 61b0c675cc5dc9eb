//! The experiments of `clrp evaluate`: what runs, what it writes down, and what becomes of it.
//!
//! A run brings every [`part`] of a data set to its [`subject`]s, by [`running`], and measures it:
//! [`localization`] (pointing games and ablation), [`neurons`], [`sanity`]. What it finds are
//! [`record`]s in a [`log`]. Of these a [`summary`] is made, with the [`statistics`] of each
//! [`measure`], and shown as [`text`], as [`csv`], as [`plot`]s and as a page of [`html`].

mod averages;
mod csv;
pub(crate) mod examples;
mod html;
pub(crate) mod localization;
pub(crate) mod log;
pub(crate) mod mean;
mod measure;
mod neuron_summary;
pub(crate) mod neurons;
mod part;
mod plot;
pub(crate) mod record;
pub(crate) mod records;
pub(crate) mod results;
pub(crate) mod running;
pub(crate) mod sanity;
pub(crate) mod setup;
mod statistics;
pub(crate) mod subject;
mod summary;
#[cfg(test)]
mod testing;
mod text;
mod turns;
