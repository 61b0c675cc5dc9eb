//! Names of the classes: those of `ImageNet` in torchvision's order, the digits, or numbers.

use crate::{Error, Result};

/// One class a line, in order: `WordNet` id, tab, name.
const IMAGENET: &str = include_str!("../assets/imagenet_classes.tsv");

/// The names of a network's classes, in the order of its outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    names: Vec<String>,
    /// As many as names, or none.
    wnids: Vec<String>,
}

impl Labels {
    /// The 1000 classes of ILSVRC 2012, in torchvision's order and words.
    pub fn imagenet() -> Self {
        let pairs = IMAGENET.lines().filter_map(|line| line.split_once('\t'));
        Self::with_wnids(pairs.map(|(wnid, name)| (wnid.to_owned(), name.to_owned())))
    }

    /// Classes of these `WordNet` ids and names, in this order.
    pub fn with_wnids(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let (wnids, names) = pairs.into_iter().unzip();
        Self { names, wnids }
    }

    /// The digits `0` to `9`.
    pub fn digits() -> Self {
        Self::numbered(10)
    }

    /// Classes without names: `0`, `1`, and so on.
    pub fn numbered(count: usize) -> Self {
        Self::named((0..count).map(|index| index.to_string()))
    }

    /// Classes of these names, in this order.
    pub fn named(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect(), wnids: Vec::new() }
    }

    /// How many classes there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no classes.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of class number `index`, if there is one.
    pub fn label(&self, index: usize) -> Option<&str> {
        self.names.get(index).map(String::as_str)
    }

    /// The `WordNet` id of class number `index`, as `n02504458`, if it has one.
    pub fn wnid(&self, index: usize) -> Option<&str> {
        self.wnids.get(index).map(String::as_str)
    }

    /// The number of the class that a user calls `text`: its name, its `WordNet` id
    /// or its number.
    ///
    /// In names case does not count, and `_`, `-` and blanks are the same. `model`
    /// is for errors.
    ///
    /// # Errors
    /// [`Error::UnknownName`] with the nearest names, [`Error::Setting`] if several
    /// classes have that name, [`Error::TargetOutOfRange`] for too large a number.
    pub fn find(&self, text: &str, model: &str) -> Result<usize> {
        let wanted = simplified(text);
        let matching = |name: &String| simplified(name) == wanted;
        let named: Vec<usize> = positions(&self.names, matching);
        match named[..] {
            [index] => return Ok(index),
            [] => {}
            _ => return Err(self.ambiguous(text, &named)),
        }
        if let Some(&index) = positions(&self.wnids, |wnid| *wnid == wanted).first() {
            return Ok(index);
        }
        let number = text.trim();
        // Rust's numbers may have a sign.
        if number.bytes().all(|byte| byte.is_ascii_digit()) {
            let (classes, model) = (self.len(), model.to_owned());
            return match number.parse() {
                Ok(target) if target < classes => Ok(target),
                Ok(target) => Err(Error::TargetOutOfRange { target, model, classes }),
                Err(_) => Err(self.unknown(text)),
            };
        }
        Err(self.unknown(text))
    }

    fn unknown(&self, text: &str) -> Error {
        Error::unknown("class", text, self.names.iter().map(String::as_str))
    }

    fn ambiguous(&self, text: &str, indices: &[usize]) -> Error {
        let describe = |&index: &usize| match self.wnid(index) {
            Some(wnid) => format!("{index} ({} {wnid})", self.names[index]),
            None => format!("{index} ({})", self.names[index]),
        };
        let candidates: Vec<String> = indices.iter().map(describe).collect();
        Error::Setting {
            what: "class",
            found: format!("`{text}`, the name of {} classes", indices.len()),
            expected: candidates.join(" or "),
        }
    }
}

fn positions(names: &[String], matching: impl Fn(&String) -> bool) -> Vec<usize> {
    names.iter().enumerate().filter(|(_, name)| matching(name)).map(|(index, _)| index).collect()
}

/// Lower case, with single blanks for `_`, `-` and blanks.
fn simplified(name: &str) -> String {
    let blanks = |c: char| c == '_' || c == '-' || c.is_whitespace();
    let words: Vec<&str> = name.split(blanks).filter(|word| !word.is_empty()).collect();
    words.join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imagenet_is_in_torchvisions_order() {
        let labels = Labels::imagenet();
        assert_eq!(labels.len(), 1000);
        let class = |index| (labels.wnid(index), labels.label(index));
        assert_eq!(class(0), (Some("n01440764"), Some("tench")));
        assert_eq!(class(340), (Some("n02391049"), Some("zebra")));
        assert_eq!(class(386), (Some("n02504458"), Some("African elephant")));
        assert_eq!(class(999), (Some("n15075141"), Some("toilet tissue")));
        assert_eq!(class(1000), (None, None));
        // ImageNet's order is that of the ids.
        assert!(labels.wnids.is_sorted());
    }

    #[test]
    fn a_class_is_found_by_name_id_or_number() {
        let labels = Labels::imagenet();
        let names = ["African elephant", "african_elephant", " AFRICAN-ELEPHANT ", "n02504458"];
        for text in names.into_iter().chain(["N02504458", "386", "0386"]) {
            assert_eq!(labels.find(text, "alexnet").expect(text), 386, "{text}");
        }
        assert_eq!(labels.find("jack_o'_lantern", "alexnet").expect("a pumpkin"), 607);
    }

    #[test]
    fn every_class_is_found_by_its_name_or_said_to_be_ambiguous() {
        let labels = Labels::imagenet();
        for (index, name) in labels.names.iter().enumerate() {
            match labels.find(name, "alexnet") {
                Ok(found) => assert_eq!(found, index, "{name}"),
                Err(_) => assert!([264, 474].contains(&index), "{name}"),
            }
        }
        let error = labels.find("Cardigan", "alexnet").expect_err("a dog and a jacket");
        let expected = "class is `Cardigan`, the name of 2 classes, expected \
                        264 (Cardigan n02113186) or 474 (cardigan n02963159)";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn an_unknown_class_gets_the_nearest_names() {
        let labels = Labels::imagenet();
        let message = |text| labels.find(text, "alexnet").expect_err("unknown").to_string();
        assert!(message("zebr").contains("unknown class `zebr`; nearest: `zebra`"));
        for odd in ["", "-1", "+5", "99999999999999999999999", "1.0"] {
            assert!(message(odd).starts_with(&format!("unknown class `{odd}`")));
        }
        let expected = "target 1000 is out of range, `alexnet` has 1000 classes";
        assert_eq!(message("1000"), expected);
    }

    #[test]
    fn digits_are_named_by_themselves() {
        let labels = Labels::digits();
        assert_eq!((labels.len(), labels.label(7), labels.wnid(7)), (10, Some("7"), None));
        assert_eq!(labels.find("7", "digits").expect("it is a digit"), 7);
        assert!(matches!(labels.find("10", "digits"), Err(Error::TargetOutOfRange { .. })));
    }
}
