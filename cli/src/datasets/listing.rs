//! Which pictures lie in a folder, and which names stay inside it.

use std::fs::{self, DirEntry};
use std::path::{Component, Path};

use clrp::Error;

use super::text::wrong;
use crate::failure::{Failure, Result};

/// How names of pictures end, in any case.
const ENDINGS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// Folders in folders, at most: where links lead back, there is no end.
const DEPTH: usize = 16;

/// The names of all pictures below `start`, a folder below `folder` or empty; sorted by bytes, with
/// `/` between. Files and folders whose names start with a dot are left out.
pub(super) fn pictures(folder: &Path, start: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    // Kept as names: how paths are joined depends on the platform.
    let mut open = vec![(start.to_owned(), 0)];
    while let Some((inner, depth)) = open.pop() {
        for entry in entries(&folder.join(&inner))? {
            let name =
                if inner.is_empty() { entry.name } else { format!("{inner}/{}", entry.name) };
            if !entry.is_folder && is_picture(&name) {
                found.push(name);
            } else if entry.is_folder && depth == DEPTH {
                return Err(wrong(
                    &folder.join(name),
                    format!("it lies in more than {DEPTH} folders"),
                ));
            } else if entry.is_folder {
                open.push((name, depth + 1));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Pictures as [`pictures`], of which there must be one.
pub(super) fn some_pictures(folder: &Path, start: &str) -> Result<Vec<String>> {
    let found = pictures(folder, start)?;
    if found.is_empty() {
        let endings = ENDINGS.map(|ending| format!(".{ending}")).join(", ");
        return Err(wrong(&folder.join(start), format!("no pictures ({endings}) were found")));
    }
    Ok(found)
}

/// A file or folder.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) is_folder: bool,
}

/// What lies in a folder, in any order, without names that start with a dot.
pub(super) fn entries(folder: &Path) -> Result<Vec<Found>> {
    let failed =
        |source| Failure::from(Error::File { action: "read", path: folder.to_owned(), source });
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| wrong(&folder.join(name), "its name is not in UTF-8"))?;
        if !name.starts_with('.') {
            found.push(Found { name, is_folder: is_folder(&entry) });
        }
    }
    Ok(found)
}

/// Whether an entry is a folder, or a link to one. A link is followed, other files are not touched:
/// that takes long where there are many.
fn is_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink() && entry.path().is_dir())
}

fn is_picture(name: &str) -> bool {
    let ending = Path::new(name).extension().unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// A relative path from a foreign file as a name with `/` between, if it stays inside its folder on
/// every platform.
pub(super) fn inside(path: &str) -> Result<String, String> {
    let separators = ['/', '\\'];
    let bytes = path.as_bytes();
    let has_drive = bytes.len() > 2
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && separators.contains(&char::from(bytes[2]));
    let climbs = path.split(separators).any(|part| part == "..");
    let here = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if has_drive
        || climbs
        || path.starts_with(separators)
        || !Path::new(path).components().all(here)
    {
        return Err(format!(
            "`{}` is a path that leaves the folder, expected one inside",
            printable(path)
        ));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !["", "."].contains(part)).collect();
    // Messages are one line.
    if parts.is_empty() || path.contains(char::is_control) {
        return Err(format!("`{}` names no file", printable(path)));
    }
    Ok(parts.join("/"))
}

/// A text from a foreign file for a message of one line.
pub(super) fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(shown).collect()
}

/// The part of a name after the last `/`, without its ending.
pub(super) fn stem(name: &str) -> &str {
    without_ending(name.rsplit('/').next().unwrap_or(name))
}

/// A name without what follows the last dot of its last part.
pub(super) fn without_ending(name: &str) -> &str {
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[start..].rfind('.') {
        Some(dot) if dot > 0 => &name[..start + dot],
        _ => name,
    }
}

/// The sub-folder, as `images/`, of those in which some picture of an index lies; the first if in
/// none.
pub(super) fn where_are<'a>(
    folder: &Path,
    inner: &[String],
    mut names: impl Iterator<Item = &'a str>,
) -> String {
    let inner: Vec<&String> = inner.iter().filter(|inner| folder.join(inner).is_dir()).collect();
    let place = |name| inner.iter().find(|inner| folder.join(inner).join(name).is_file());
    let found = names.find_map(place);
    found.or(inner.first()).map_or_else(String::new, |inner| (*inner).clone())
}

#[cfg(test)]
mod tests {
    use super::super::support::Place;
    use super::*;

    #[test]
    fn pictures_are_found_at_any_depth_and_sorted_by_bytes() {
        let place = Place::new();
        let names =
            ["b.png", "a/\u{e9} x.JPG", "a.webp", "B.jpeg", "a/c/d.png", "a/note.txt", "png"];
        names.iter().for_each(|name| place.write(name, ""));
        place.write(".hidden.png", "");
        place.write(".git/a.png", "");
        let found = pictures(place.root(), "").expect("it can be read");
        assert_eq!(found, ["B.jpeg", "a.webp", "a/c/d.png", "a/\u{e9} x.JPG", "b.png"]);
        assert_eq!(pictures(place.root(), "a/c").expect("it can be read"), ["a/c/d.png"]);
        place.write(&format!("{}e.png", "d/".repeat(DEPTH + 1)), "");
        let message = pictures(place.root(), "").expect_err("it is too deep").to_string();
        assert!(message.ends_with(": it lies in more than 16 folders"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_odd_names_are_refused() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let place = Place::with(&[("a/b.png", "")], &[]);
        std::os::unix::fs::symlink(place.path("a"), place.path("link")).expect("a link");
        assert_eq!(pictures(place.root(), "").expect("fine"), ["a/b.png", "link/b.png"]);
        std::os::unix::fs::symlink(place.root(), place.path("a/back")).expect("a link");
        assert!(pictures(place.root(), "").is_err());
        let odd = Place::new();
        fs::write(odd.root().join(OsStr::from_bytes(b"\xff.png")), "").expect("it can be written");
        let message = pictures(odd.root(), "").expect_err("no text").to_string();
        assert!(message.ends_with("its name is not in UTF-8"), "{message}");
    }

    #[test]
    fn names_stay_inside() {
        assert_eq!(inside("a/./b//c d.png"), Ok("a/b/c d.png".to_owned()));
        assert_eq!(inside("a..b/..c"), Ok("a..b/..c".to_owned()));
        for wrong in ["../a", "a/../../b", "a\\..\\b", "/a", "\\a", "C:\\a", "c:/a", ".."] {
            let message = inside(wrong).expect_err(wrong);
            assert!(message.ends_with("leaves the folder, expected one inside"), "{message}");
        }
        for wrong in ["", ".", "./", "a\0b", "a\nb"] {
            assert!(inside(wrong).expect_err(wrong).ends_with(" names no file"));
        }
    }

    #[test]
    fn endings_are_those_of_the_last_part() {
        let stems =
            ["a/b.c.jpg", "a.b/c", "a/.c", "x"].map(|name| (stem(name), without_ending(name)));
        assert_eq!(stems, [("b.c", "a/b.c"), ("c", "a.b/c"), (".c", "a/.c"), ("x", "x")]);
    }
}
