//! The `clrp` binary as users and programs meet it: standard output, standard error, exit codes
//! and files. Everything runs on the bundled network and its scenes.

mod bad_input;
mod explain;
mod listings;
mod readme;
mod real_input;
mod support;
