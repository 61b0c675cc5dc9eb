//! What the readers of foreign files share: what errors say of them.

/// What does not fit: what was expected, and what was found.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Misfit {
    pub(crate) fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { expected: expected.into(), found: found.into() }
    }
}

/// The start of a text from a file, on one line.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut start: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        start.push_str("...");
    }
    start
}
