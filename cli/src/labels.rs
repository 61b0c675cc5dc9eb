//! Names of the classes from a user's file.

use std::fs;
use std::path::Path;

use clrp::Error;
use clrp::labels::Labels;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::failure::{Failure, Result};

/// Reads the names of that many classes of a model.
pub(crate) fn read(path: &Path, classes: usize, model: &str) -> Result<Labels> {
    let read = |source| Error::File { action: "read", path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(read)?;
    let malformed = |what| Failure::Said(format!("`{}`: {what}", path.display()));
    let text = str::from_utf8(&bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = 1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count();
        malformed(format!("expected text in UTF-8, found byte {:#04x} in line {line}", bytes[at]))
    })?;
    // Editors of Windows start files with it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let labels = if is_json { from_json(text).map_err(malformed)? } else { from_lines(text) };
    if labels.len() != classes {
        let (path, found) = (path.display(), labels.len());
        return Err(Failure::Said(format!(
            "`{path}` names {found} classes, expected {classes}, as many as `{model}` has"
        )));
    }
    Ok(labels)
}

/// A class a line: a name, or as in `synset_words.txt` and `LOC_synset_mapping.txt` its `WordNet`
/// id and several names with commas between, of which the first is taken.
fn from_lines(text: &str) -> Labels {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pair = |line: &str| {
        let (wnid, names) = line.split_once(char::is_whitespace)?;
        let digits = wnid.strip_prefix('n')?;
        let is_wnid = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let name = names.split(',').next().unwrap_or(names);
        is_wnid.then(|| (wnid.to_owned(), name.trim().to_owned()))
    };
    let pairs: Option<Vec<(String, String)>> = lines().map(pair).collect();
    match pairs {
        Some(pairs) if !pairs.is_empty() => Labels::with_wnids(pairs),
        _ => Labels::named(lines().map(str::to_owned)),
    }
}

/// `["a", "b"]`, `{"0": "a", "1": "b"}` or `{"0": ["n01440764", "a"], ...}`.
fn from_json(text: &str) -> std::result::Result<Labels, String> {
    let values: Vec<Value> = match serde_json::from_str(text) {
        Ok(Value::Array(values)) => values,
        Ok(Value::Object(numbered)) => in_order(numbered)?,
        Ok(other) => {
            let expected = "expected a list or an object of class names";
            return Err(format!("{expected}, found {}", kind(&other)));
        }
        Err(error) => return Err(format!("expected JSON, found {error}")),
    };
    if values.iter().any(Value::is_array) {
        let pairs = each(values, "a WordNet id and a name, both texts")?;
        return Ok(Labels::with_wnids(pairs));
    }
    Ok(Labels::named(each::<String>(values, "a name as text")?))
}

/// The values as what is expected of each.
fn each<T: DeserializeOwned>(
    values: Vec<Value>,
    expected: &str,
) -> std::result::Result<Vec<T>, String> {
    let read = |(class, value)| {
        let found = kind(&value);
        T::deserialize(value)
            .map_err(|_| format!("class `{class}`: expected {expected}, found {found}"))
    };
    values.into_iter().enumerate().map(read).collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list of others",
        Value::Object(_) => "an object",
    }
}

fn in_order(mut numbered: Map<String, Value>) -> std::result::Result<Vec<Value>, String> {
    let missing = |index: usize| {
        format!("expected classes `0` to `{}`, found no `{index}`", numbered.len() - 1)
    };
    if let Some(index) = (0..numbered.len()).find(|i| !numbered.contains_key(&i.to_string())) {
        return Err(missing(index));
    }
    Ok((0..numbered.len()).filter_map(|i| numbered.remove(&i.to_string())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_formats_give_the_names_in_order() {
        let names = |labels: &Labels| -> Vec<String> {
            (0..labels.len()).filter_map(|i| labels.label(i)).map(str::to_owned).collect()
        };
        for labels in [
            from_lines("tench\n\ngoldfish\n"),
            from_lines("n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\n"),
            from_json(r#"["tench", "goldfish"]"#).expect("a list"),
            from_json(r#"{"1": "goldfish", "0": "tench"}"#).expect("an object"),
            from_json(r#"{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}"#)
                .expect("pairs"),
        ] {
            assert_eq!(names(&labels), ["tench", "goldfish"]);
        }
        let pairs = from_json(r#"[["n01440764", "tench"]]"#).expect("pairs");
        assert_eq!(pairs.wnid(0), Some("n01440764"));
        // `no` and `nothing1` are no ids.
        assert_eq!(names(&from_lines("no one\nnothing1 two")), ["no one", "nothing1 two"]);
    }

    #[test]
    fn what_is_wrong_with_json_is_said() {
        let said = |text| from_json(text).expect_err("it is refused");
        assert_eq!(said(r#"{"0": "a", "2": "b"}"#), "expected classes `0` to `1`, found no `1`");
        assert_eq!(said("3"), "expected a list or an object of class names, found a number");
        assert_eq!(said(r#"["a", 2]"#), "class `1`: expected a name as text, found a number");
        let expected = "class `0`: expected a WordNet id and a name, both texts, found a text";
        assert_eq!(said(r#"["a", ["n01440764", "b"]]"#), expected);
        let expected = "expected JSON, found EOF while parsing a list at line 1 column 1";
        assert_eq!(said("["), expected);
    }
}
