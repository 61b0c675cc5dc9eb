//! The `clrp` binary as users and programs meet it: standard output, standard error, exit codes
//! and files. Everything runs on the bundled network and its scenes.

mod bad_input;
mod bench;
mod checkpoint;
mod drawn;
mod evaluate;
mod evaluate_boxed;
mod explain;
mod fetch;
mod formats;
#[cfg(target_os = "linux")]
mod full_device;
mod listings;
mod readme;
mod real_input;
mod requests;
#[expect(dead_code, reason = "the downloads' own tests use all of it")]
#[path = "../../weights-tools/src/fetch/tests/server.rs"]
mod server;
mod support;
mod switches;
mod warnings;
