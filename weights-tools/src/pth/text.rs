//! How protocol 0 writes text and numbers.

use std::borrow::Cow;

/// The bytes between the quotes of Python 2's `repr` of a `str`, with its escapes undone.
pub(super) fn unquoted(line: &[u8]) -> Option<Cow<'_, [u8]>> {
    let line = line.trim_ascii();
    let (&quote, rest) = line.split_first()?;
    let inner = rest.strip_suffix(&[quote])?;
    if !matches!(quote, b'\'' | b'"') {
        return None;
    }
    if !inner.contains(&b'\\') {
        return Some(Cow::Borrowed(inner));
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&escape, after) = rest.split_first()?;
        rest = after;
        bytes.push(match escape {
            b'\\' | b'\'' | b'"' => escape,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                u8::try_from(hex(digits)?).ok()?
            }
            _ => return None,
        });
    }
    Some(Cow::Owned(bytes))
}

/// A line in Python's `raw-unicode-escape`: Latin-1 with `\uXXXX` and `\UXXXXXXXX`.
pub(super) fn unescaped(line: &[u8]) -> Option<Cow<'_, str>> {
    if line.is_ascii() && !line.contains(&b'\\') {
        return std::str::from_utf8(line).ok().map(Cow::Borrowed);
    }
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        let length = match (byte, after.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                text.push(char::from(byte));
                rest = after;
                continue;
            }
        };
        let (digits, after) = after[1..].split_at_checked(length)?;
        text.push(char::from_u32(hex(digits)?)?);
        rest = after;
    }
    Some(Cow::Owned(text))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, &digit| {
        Some(number.checked_mul(16)? + char::from(digit).to_digit(16)?)
    })
}

/// The little-endian two's complement of up to 8 bytes; nothing is 0.
pub(super) fn signed(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_escapes_are_undone() {
        let text = |line: &[u8]| unquoted(line).map(Cow::into_owned);
        assert_eq!(text(b"'conv.weight'"), Some(b"conv.weight".to_vec()));
        assert_eq!(text(br#""it's\n\x41\\""#), Some(b"it's\nA\\".to_vec()));
        for bad in [&b""[..], b"'", b"a", b"'a", b"'a\"", br"'\x4'", br"'\q'", br"'\'"] {
            assert_eq!(text(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn unicode_escapes_are_undone() {
        assert_eq!(unescaped(b"plain").as_deref(), Some("plain"));
        assert_eq!(
            unescaped(b"\xe9\\u00e9\\U0001f600\\n").as_deref(),
            Some("\u{e9}\u{e9}\u{1f600}\\n")
        );
        assert_eq!(unescaped(b"\\ud800"), None);
        assert_eq!(unescaped(b"\\u12"), None);
        assert_eq!(unescaped(b"\\Uffffffff"), None);
    }

    #[test]
    fn integers_have_a_sign() {
        assert_eq!(signed(&[]), Some(0));
        assert_eq!(signed(&[0xff]), Some(-1));
        assert_eq!(signed(&[0xff, 0]), Some(255));
        assert_eq!(signed(&[0; 9]), None);
    }
}
