//! Data to standard output, notes and progress to standard error.

use std::fmt::{self, Display};
use std::io::{self, ErrorKind, IsTerminal, Write};

use clrp::Error;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde::Serialize;

use crate::failure::{Failure, Result};

/// Writes data, and nothing else goes there.
pub(crate) fn print(data: impl Display) -> Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{data}").and_then(|()| out.flush()).map_err(unwritten)
}

/// Why standard output takes no more.
pub(crate) fn unwritten(source: io::Error) -> Failure {
    if source.kind() == ErrorKind::BrokenPipe {
        return Failure::Closed;
    }
    Error::File { action: "write", path: "standard output".into(), source }.into()
}

/// Writes one object as indented JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::Said(format!("cannot write JSON: {error}")))?;
    print(text + "\n")
}

/// Writes one line `kind: message` to standard error; control characters are escaped, since names
/// of files may hold them.
pub(crate) fn say(kind: &str, message: &impl Display) {
    let mut line = String::new();
    for c in message.to_string().chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    // There is nowhere to complain to.
    let _ = writeln!(io::stderr(), "{kind}: {line}");
}

/// A progress bar on a terminal if there are several things to do, else one that shows nothing.
pub(crate) fn progress(count: usize) -> ProgressBar {
    if count < 2 || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    styled(ProgressBar::new(count as u64), "{wide_bar} {pos}/{len} {eta}")
}

/// The same with a word of what there is, and the rate.
pub(crate) fn progress_with_rate(count: usize, message: &'static str) -> ProgressBar {
    let bar = progress(count).with_message(message);
    styled(bar, "{msg} {wide_bar} {pos}/{len} {rate} {eta}")
}

/// A progress bar with rate and remaining time on a terminal, else one that shows nothing.
pub(crate) fn progress_of_bytes(bytes: u64, message: &'static str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes).with_message(message);
    styled(bar, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // A bar that cannot be drawn is no reason to stop.
        let _ = write!(out, "{:.1}/s", state.per_sec());
    };
    let style = style.map(|style| style.with_key("rate", rate));
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}
