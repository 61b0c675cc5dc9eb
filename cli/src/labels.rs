//! Names of the classes from a user's file.

use std::fs;
use std::path::Path;

use clrp::Error;
use clrp::labels::Labels;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::failure::{Failure, Result};

/// Reads the names of that many classes of a model.
pub(crate) fn read(path: &Path, classes: usize, model: &str) -> Result<Labels> {
    let read = |source| Error::File { action: "read", path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(read)?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let labels = if is_json { from_json(&text) } else { Ok(from_lines(&text)) };
    let malformed =
        |found| Error::Malformed { path: path.to_owned(), expected: "class names", found };
    let labels = labels.map_err(malformed)?;
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
    let values: Vec<Value> = match serde_json::from_str(text).map_err(|error| error.to_string())? {
        Value::Array(values) => values,
        Value::Object(numbered) => in_order(numbered)?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err("neither a list nor an object".to_owned());
        }
    };
    let unlike = |error: serde_json::Error| error.to_string();
    if values.iter().any(Value::is_array) {
        let pairs: std::result::Result<Vec<(String, String)>, _> =
            values.into_iter().map(Deserialize::deserialize).collect();
        return Ok(Labels::with_wnids(pairs.map_err(unlike)?));
    }
    let names: std::result::Result<Vec<String>, _> =
        values.into_iter().map(Deserialize::deserialize).collect();
    Ok(Labels::named(names.map_err(unlike)?))
}

fn in_order(mut numbered: Map<String, Value>) -> std::result::Result<Vec<Value>, String> {
    let missing = |index: usize| format!("class `{index}` is missing among {}", numbered.len());
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
        assert_eq!(said(r#"{"0": "a", "2": "b"}"#), "class `1` is missing among 2");
        assert_eq!(said("3"), "neither a list nor an object");
        assert!(said("[1, 2]").contains("expected a string"), "{}", said("[1, 2]"));
        assert!(said("[").contains("EOF"), "{}", said("["));
    }
}
