//! What a model's metadata says of its classes and of the pictures it takes.
//!
//! ONNX has keys of its own for pictures only (`MetadataProps.md`); the others are those that
//! exporters use.

use std::collections::BTreeMap;
use std::iter::{Peekable, once};
use std::str::Chars;

use rten_onnx::onnx::StringStringEntryProto;

/// What is known of how pictures become the network's input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hints {
    /// Mean of the channels, where white is 1.
    pub mean: Option<[f32; 3]>,
    /// Standard deviation of the channels, where white is 1.
    pub std: Option<[f32; 3]>,
    /// Whether blue is the first channel.
    pub bgr: bool,
}

/// The value of the first of the keys that there is.
fn entry<'a>(entries: &'a [StringStringEntryProto], keys: &[&str]) -> Option<&'a str> {
    let of = |key: &&str| {
        let same = |entry: &&StringStringEntryProto| {
            entry.key.as_deref().is_some_and(|found| found.eq_ignore_ascii_case(key))
        };
        entries.iter().find(same)?.value.as_deref()
    };
    keys.iter().find_map(of)
}

/// What the metadata says of pictures.
pub(super) fn hints(entries: &[StringStringEntryProto]) -> Hints {
    let three = |keys: &[&str]| {
        let numbers: Vec<f32> = entry(entries, keys)?
            .split([',', ' ', '[', ']', '(', ')', ';'])
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().ok().filter(|number: &f32| number.is_finite()))
            .collect::<Option<_>>()?;
        <[f32; 3]>::try_from(numbers).ok()
    };
    let mean = three(&["mean", "image_mean", "pixel_mean"]);
    let std = three(&["std", "image_std", "pixel_std"]);
    let range = match entry(entries, &["Image.NominalPixelRange"]) {
        Some("NominalRange_0_255") => Some(([0.0; 3], [1.0 / 255.0; 3])),
        Some("Normalized_0_1") => Some(([0.0; 3], [1.0; 3])),
        Some("Normalized_1_1") => Some(([0.5; 3], [0.5; 3])),
        _ => None,
    };
    // Where white is 255, some number is far above 1.
    let large = [mean, std].iter().flatten().flatten().any(|number| *number > 2.0);
    let scaled = |values: [f32; 3]| values.map(|value| if large { value / 255.0 } else { value });
    Hints {
        mean: mean.map(scaled).or(range.map(|range| range.0)),
        std: std.map(scaled).filter(|std| !std.contains(&0.0)).or(range.map(|range| range.1)),
        bgr: entry(entries, &["Image.BitmapPixelFormat"])
            .is_some_and(|format| format.starts_with("Bgr")),
    }
}

/// The classes' names, if the metadata has them.
pub(super) fn classes(entries: &[StringStringEntryProto]) -> Option<Vec<String>> {
    let keys = ["classes", "class_names", "labels", "names", "id2label"];
    let text = entry(entries, &keys)?.trim();
    let list = match text.starts_with(['[', '{', '(']) {
        true => json(text).or_else(|| python(text))?,
        false => plain(text),
    };
    // They become parts of lines.
    let on_one_line = |name: String| name.replace(char::is_control, " ");
    (!list.is_empty()).then(|| list.into_iter().map(on_one_line).collect())
}

/// The names of a list without quotes: one a line, or between commas.
fn plain(text: &str) -> Vec<String> {
    let between = if text.contains('\n') { '\n' } else { ',' };
    text.split(between).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// The texts of a list, or the values of an object with numbers as keys in their order.
fn json(text: &str) -> Option<Vec<String>> {
    if let Ok(names) = serde_json::from_str(text) {
        return Some(names);
    }
    let named: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
    let number = |(key, name): (String, String)| Some((key.trim().parse::<usize>().ok()?, name));
    let numbered: BTreeMap<usize, String> = named.into_iter().map(number).collect::<Option<_>>()?;
    Some(numbered.into_values().collect())
}

/// The same as Python writes them.
fn python(text: &str) -> Option<Vec<String>> {
    let is_dict = text.starts_with('{');
    let mut chars = text.chars().peekable();
    let (mut names, mut key, mut digits) = (Vec::new(), None, String::new());
    while let Some(c) = chars.next() {
        match c {
            '"' | '\'' => {
                let mut name = String::new();
                loop {
                    match chars.next()? {
                        '\\' => unescape(&mut chars, &mut name)?,
                        end if end == c => break,
                        other => name.push(other),
                    }
                }
                // Keys may have quotes, too.
                let rest = chars.clone().find(|c| !c.is_whitespace());
                if is_dict && rest == Some(':') {
                    digits = name;
                } else {
                    names.push((key.take().unwrap_or(names.len()), name));
                }
            }
            ':' if is_dict => {
                key = Some(digits.trim().parse().ok()?);
                digits.clear();
            }
            c if c.is_ascii_digit() => digits.push(c),
            '[' | ']' | '{' | '}' | '(' | ')' | ',' => {}
            c if c.is_whitespace() => {}
            _ => return None,
        }
    }
    names.sort();
    Some(names.into_iter().map(|(_, name)| name).collect())
}

/// Appends the character that Python means by what stands behind a backslash.
fn unescape(chars: &mut Peekable<Chars<'_>>, name: &mut String) -> Option<()> {
    let code = |digits: String, radix: u32| {
        u32::from_str_radix(&digits, radix).ok().and_then(char::from_u32)
    };
    let hexadecimal = |chars: &mut Peekable<Chars<'_>>, count: usize| {
        let digits: String =
            (0..count).map_while(|_| chars.next_if(char::is_ascii_hexdigit)).collect();
        if digits.len() == count { code(digits, 16) } else { None }
    };
    let meant = match chars.next()? {
        '\n' => return Some(()),
        same @ ('\\' | '\'' | '"') => same,
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' => hexadecimal(chars, 2)?,
        'u' => hexadecimal(chars, 4)?,
        'U' => hexadecimal(chars, 8)?,
        // A character by its name, of which there are too many to know.
        'N' => return None,
        first @ '0'..='7' => {
            let more = (0..2).map_while(|_| chars.next_if(|c| ('0'..='7').contains(c)));
            code(once(first).chain(more).collect(), 8)?
        }
        other => {
            name.push('\\');
            other
        }
    };
    name.push(meant);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(list: &[(&str, &str)]) -> Vec<StringStringEntryProto> {
        let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
            key: Some((*key).to_owned()),
            value: Some((*value).to_owned()),
        };
        list.iter().map(entry).collect()
    }

    #[test]
    fn classes_are_read_as_exporters_write_them() {
        for text in [
            r#"["cat", "dog, small"]"#,
            "{0: 'cat', 1: 'dog, small'}",
            r#"{"1": "dog, small", "0": "cat"}"#,
            "cat\ndog, small\n",
        ] {
            let found = classes(&entries(&[("names", text)])).expect("it is a list");
            assert_eq!(found, ["cat", "dog, small"], "{text}");
        }
        assert_eq!(classes(&entries(&[("labels", "a, b")])), Some(vec!["a".into(), "b".into()]));
        for text in ["", "[", "['a", "{a: 'b'}", "[1, 2]"] {
            assert_eq!(classes(&entries(&[("classes", text)])), None, "{text}");
        }
    }

    #[test]
    fn escapes_in_names_are_those_of_json_or_python() {
        for (text, expected) in [
            (r#"["caf\u00e9", "a\/b", "\ud83d\ude00"]"#, ["caf\u{e9}", "a/b", "\u{1f600}"]),
            (r#"{"1": "say \"b\"", "0": "a\\b", "10": "c"}"#, ["a\\b", "say \"b\"", "c"]),
            (r"['caf\xe9', 'caf\u00e9', '\U0001f600']", ["caf\u{e9}", "caf\u{e9}", "\u{1f600}"]),
            (r#"['it\'s', "it's", 'a\\b']"#, ["it's", "it's", "a\\b"]),
            (r"{2: 'c\d', 0: 'a\101', 1: '\0561'}", ["aA", ".1", "c\\d"]),
            // Names are parts of lines.
            (r#"["a\nb", "\u001b[1m", "a\tb"]"#, ["a b", " [1m", "a b"]),
            (r"('a\nb', '\x1b[1m', 'a\tb')", ["a b", " [1m", "a b"]),
        ] {
            assert_eq!(classes(&entries(&[("names", text)])).expect("a list"), expected, "{text}");
        }
        for text in [r"['\x4']", r"['\u00g0']", r"['\ud83d']", r"['\N{DASH}']", r"['\']"] {
            assert_eq!(classes(&entries(&[("names", text)])), None, "{text}");
        }
    }

    #[test]
    fn pictures_are_described() {
        let found = hints(&entries(&[("mean", "[123.675, 116.28, 103.53]"), ("std", "51 51 51")]));
        assert_eq!(found.mean, Some([123.675 / 255.0, 116.28 / 255.0, 103.53 / 255.0]));
        assert_eq!(found.std, Some([0.2; 3]));
        let found = hints(&entries(&[
            ("Image.BitmapPixelFormat", "Bgr8"),
            ("Image.NominalPixelRange", "Normalized_1_1"),
        ]));
        assert_eq!(found, Hints { mean: Some([0.5; 3]), std: Some([0.5; 3]), bgr: true });
        assert_eq!(hints(&entries(&[("mean", "grey")])), Hints::default());
    }
}
