//! A list of pictures to take.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::listing::{inside, printable, without_ending};
use super::text::{read, wrong, wrong_at};
use crate::failure::Result;

const LIMIT: u64 = 256 << 20;

/// Takes the pictures that a list names, a line each, in its order.
///
/// A line is a name, or columns of which the first is one; blanks, tabs and commas end it. A name
/// may lack folders at its start and its ending, as those in `ImageSets/Main` of VOC do. What is
/// not among `names` stays as it is: reading that picture will fail. At least one must be.
pub(super) fn select(names: &[String], path: &Path) -> Result<Vec<String>> {
    let text = read(path, LIMIT)?;
    let (whole, parts) = (names.iter().map(String::as_str).collect(), Parts::of(names));
    let mut taken = Vec::new();
    let mut seen = HashSet::new();
    let mut any_known = false;
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |what| wrong_at(path, "line", i + 1, what);
        let known = find(line, &whole, &parts).map_err(wrong)?;
        any_known |= known.is_some();
        let name = match known {
            Some(name) => name.to_owned(),
            None => inside(first_column(line)).map_err(wrong)?,
        };
        if !seen.insert(name.clone()) {
            return Err(wrong(format!("`{}` is named for the second time", printable(&name))));
        }
        taken.push(name);
    }
    match taken.first() {
        None => Err(wrong(path, "it names no pictures")),
        Some(first) if !any_known => {
            let what = "it names none of the pictures";
            Err(wrong(path, format!("{what}, the first is `{}`", printable(first))))
        }
        Some(_) => Ok(taken),
    }
}

/// Where a list is: in that path or, for a name alone, in one of the folders, with or without its
/// ending.
pub(super) fn locate(path: &Path, folders: &[PathBuf]) -> PathBuf {
    let is_bare = path.components().count() == 1;
    let inside = folders
        .iter()
        .filter(|_| is_bare && !path.exists())
        .flat_map(|folder| [folder.join(path), folder.join(format!("{}.txt", path.display()))]);
    inside.into_iter().find(|place| place.is_file()).unwrap_or_else(|| path.to_owned())
}

fn first_column(line: &str) -> &str {
    let end = |c: char| c == ',' || c.is_whitespace();
    line.split(end).next().unwrap_or(line)
}

/// The picture that a line names, if one does: names may have blanks and commas.
fn find<'a>(
    line: &str,
    whole: &HashSet<&'a str>,
    parts: &Parts<'a>,
) -> Result<Option<&'a str>, String> {
    for text in [line, first_column(line)] {
        let text = text.strip_prefix("./").unwrap_or(text);
        if let Some(name) = whole.get(text) {
            return Ok(Some(name));
        }
        match parts.0.get(text) {
            Some(Part::Of(name)) => return Ok(Some(name)),
            Some(Part::Shared(one, other)) => {
                return Err(format!("`{text}` is `{one}` and `{other}`, expected one picture"));
            }
            None => {}
        }
    }
    Ok(None)
}

/// Names without folders at their start, without endings, or without both.
struct Parts<'a>(HashMap<&'a str, Part<'a>>);

enum Part<'a> {
    Of(&'a str),
    /// Two that have it.
    Shared(&'a str, &'a str),
}

impl<'a> Parts<'a> {
    fn of(names: &'a [String]) -> Self {
        let mut parts = HashMap::new();
        for name in names {
            let starts = [0].into_iter().chain(name.match_indices('/').map(|(at, _)| at + 1));
            let kept = starts.flat_map(|start| [&name[start..], without_ending(&name[start..])]);
            for part in kept.collect::<HashSet<_>>() {
                let shared = |other: &mut Part<'a>| {
                    if let Part::Of(other_name) = *other {
                        *other = Part::Shared(other_name, name);
                    }
                };
                parts.entry(part).and_modify(shared).or_insert(Part::Of(name));
            }
        }
        Self(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::Place;
    use super::*;

    fn selected(list: &str) -> Result<Vec<String>, String> {
        let place = Place::new();
        place.write("list", list);
        let names = ["a b, c.jpg", "x/1.jpg", "x/2.png", "y/2.png", "y/3.x.png", "\u{e9}.png"];
        let names = names.map(str::to_owned);
        let selected = select(&names, &place.path("list"));
        selected.map_err(|failure| place.abridged(&failure.to_string()))
    }

    #[test]
    fn names_are_taken_in_the_order_of_the_list() {
        let list = "\u{feff}\u{e9}.png\r\n\n  1 -1\ny/2\t7\na b, c.jpg\n./3.x.png,4,5\nx/2.png\n";
        let names = ["\u{e9}.png", "x/1.jpg", "y/2.png", "a b, c.jpg", "y/3.x.png", "x/2.png"];
        assert_eq!(selected(list).expect("they are there"), names);
        // Those that are not there fail when they are read.
        assert_eq!(selected("1\n7 8\n").expect("one is"), ["x/1.jpg", "7"]);
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said() {
        let refused = |list| selected(list).expect_err("it is refused");
        assert_eq!(refused("\n \n"), "`@/list`: it names no pictures");
        assert_eq!(refused("7\n8"), "`@/list`: it names none of the pictures, the first is `7`");
        let expected = "`@/list`, line 2: `2` is `x/2.png` and `y/2.png`, expected one picture";
        assert_eq!(refused("1\n2"), expected);
        let expected = "`@/list`, line 3: `x/1.jpg` is named for the second time";
        assert_eq!(refused("1\n\nx/1.jpg"), expected);
        let expected = "`@/list`, line 1: `../1.jpg` is a path that leaves the folder, expected \
                        one inside";
        assert_eq!(refused("../1.jpg"), expected);
        assert!(refused(" /x/1.jpg\n").contains("leaves the folder"));
    }
}
