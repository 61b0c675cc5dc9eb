//! From `--target` to classes.

use clrp::labels::Labels;
use clrp::{Error, Target};

use crate::failure::Result;

/// Reads `top3`, or numbers, names and `WordNet` ids with commas between.
pub(crate) fn parse(text: &str, labels: &Labels, model: &str) -> Result<Target> {
    if let Some(count) = top(text) {
        let expected = format!("top1 to top{}", labels.len());
        return match count.parse() {
            Ok(count) if (1..=labels.len()).contains(&count) => Ok(Target::Top(count)),
            Ok(_) | Err(_) => {
                Err(Error::Setting { what: "target", found: text.to_owned(), expected }.into())
            }
        };
    }
    let mut classes = Vec::new();
    for name in text.split(',') {
        if top(name).is_some() {
            let expected = format!("`{name}` alone, or classes");
            let found = format!("`{text}`");
            return Err(Error::Setting { what: "target", found, expected }.into());
        }
        if name.trim().parse::<i64>().is_ok_and(|number| number < 0) {
            let expected = format!("a class from 0 to {}", labels.len().saturating_sub(1));
            return Err(Error::Setting { what: "target", found: name.to_owned(), expected }.into());
        }
        let class = labels.find(name, model)?;
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    Ok(Target::Classes(classes))
}

/// What follows `top`, if only digits do.
fn top(text: &str) -> Option<&str> {
    let count = text.trim().strip_prefix("top")?;
    let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_best_or_given_classes() {
        let labels = Labels::imagenet();
        let target = |text| parse(text, &labels, "alexnet").expect(text);
        assert_eq!(target("top3"), Target::Top(3));
        assert_eq!(target("340"), Target::Classes(vec![340]));
        assert_eq!(target("zebra,243, tabby,340"), Target::Classes(vec![340, 243, 281]));
    }

    #[test]
    fn a_wrong_target_is_named() {
        let labels = Labels::imagenet();
        let message = |text| parse(text, &labels, "alexnet").expect_err(text).to_string();
        assert_eq!(message("top0"), "target is top0, expected top1 to top1000");
        assert_eq!(message("top1001"), "target is top1001, expected top1 to top1000");
        assert_eq!(message("top3,5"), "target is `top3,5`, expected `top3` alone, or classes");
        assert!(message("zebr,5").starts_with("unknown class `zebr`; nearest: `zebra`"));
        assert_eq!(message("5,1000"), "target 1000 is out of range, `alexnet` has 1000 classes");
        assert!(message("5,,6").starts_with("unknown class ``"));
    }
}
