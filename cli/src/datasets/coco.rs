//! `coco`: pictures with an `instances_*.json`.
//!
//! Classes are names of categories. A box is `[x, y, width, height]`, in edges already. Crowds
//! (`iscrowd`), whose box surrounds many objects, are kept out, as COCO's own evaluation ignores
//! them. Pictures are all that the index lists; many have no boxes.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::annotation::{Annotation, Mark};
use super::files::{Annotated, Files};
use super::format::around;
use super::index::{Index, Key};
use super::listing::{entries, inside, printable, where_are};
use super::text::{read, wrong, wrong_at};
use crate::failure::Result;

const LIMIT: u64 = 2 << 30;

#[derive(Deserialize)]
struct Instances<'a> {
    #[serde(borrow)]
    images: Vec<Image<'a>>,
    annotations: Vec<Instance>,
    #[serde(borrow)]
    categories: Vec<Category<'a>>,
}

#[derive(Deserialize)]
struct Image<'a> {
    id: i64,
    #[serde(borrow)]
    file_name: Cow<'a, str>,
    width: Option<f64>,
    height: Option<f64>,
}

#[derive(Deserialize)]
struct Instance {
    #[serde(default)]
    id: i64,
    image_id: i64,
    category_id: i64,
    bbox: [f64; 4],
    #[serde(default)]
    iscrowd: i64,
}

#[derive(Deserialize)]
struct Category<'a> {
    id: i64,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// Opens a folder with such an index.
pub(super) fn open(folder: &Path, index: Option<&Path>) -> Result<Files> {
    let path = match index {
        Some(path) => path.to_owned(),
        None => only_one(folder)?,
    };
    let text = read(&path, LIMIT)?;
    let instances: Instances<'_> = serde_json::from_str(&text).map_err(|error| {
        wrong(
            &path,
            format!("it does not hold COCO's instances: {}", printable(&error.to_string())),
        )
    })?;
    let names = names(&path, &instances)?;
    let annotations = gather(&path, &instances)?;
    // Whoever names the parent of `val2014` and `annotations` means those pictures.
    let split = file_name(&path).strip_prefix(START).and_then(|name| name.strip_suffix(END));
    let split = split.and_then(|split| inside(split).ok()).map(|split| format!("{split}/"));
    let inner: Vec<String> =
        [String::new(), "images/".to_owned()].into_iter().chain(split).collect();
    let inner = where_are(folder, &inner, names.iter().map(String::as_str));
    let named = |name| format!("{inner}{name}");
    let names: Vec<String> = names.into_iter().map(named).collect();
    let annotations = names.iter().cloned().zip(annotations).collect();
    let index = Index { path, part: "annotation", key: Key::Name, annotations, is_numbered: false };
    Ok(Files::new(folder, names, Annotated::Index(index)))
}

/// How names of indices start and end.
const START: &str = "instances_";
const END: &str = ".json";

/// The indices in a folder, in `annotations` in it, or in one beside it: those of the first place
/// that has any.
pub(super) fn find(folder: &Path) -> Vec<PathBuf> {
    let [own, parent] = match &around(folder)[..] {
        [own, parent] => [Some(own.clone()), Some(parent.clone())],
        other => [other.first().cloned(), None],
    };
    let places = [
        own.clone(),
        own.map(|own| own.join("annotations")),
        parent.map(|parent| parent.join("annotations")),
    ];
    for place in places.into_iter().flatten() {
        let is_index = |name: &str| name.starts_with(START) && name.ends_with(END);
        let found = entries(&place).unwrap_or_default().into_iter();
        let mut names: Vec<String> =
            found.map(|found| found.name).filter(|name| is_index(name)).collect();
        names.sort_unstable();
        if !names.is_empty() {
            return names.into_iter().map(|name| place.join(name)).collect();
        }
    }
    Vec::new()
}

/// The index with the folder's name, or the only one.
fn only_one(folder: &Path) -> Result<PathBuf> {
    let mut found = find(folder);
    let own = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let own = format!("{START}{}{END}", file_name(&own));
    if let Some(place) = found.iter().position(|path| file_name(path) == own) {
        return Ok(found.swap_remove(place));
    }
    let names: Vec<String> = found.iter().map(|path| format!("`{}`", path.display())).collect();
    match found.pop() {
        Some(only) if found.is_empty() => Ok(only),
        Some(_) => {
            Err(wrong(folder, format!("`--annotations` must tell which of {}", names.join(", "))))
        }
        None => {
            let place = "in it, or in `annotations` in or beside it";
            Err(wrong(folder, format!("no `{START}*{END}` {place}; `--annotations` tells where")))
        }
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The pictures' names.
fn names(path: &Path, instances: &Instances<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut seen = HashSet::new();
    for image in &instances.images {
        let wrong = |what| wrong_at(path, "image", image.id, what);
        let name = inside(&image.file_name).map_err(wrong)?;
        if !seen.insert(name.clone()) {
            return Err(wrong(format!("another is `{}` too", printable(&name))));
        }
        names.push(name);
    }
    if names.is_empty() { Err(wrong(path, "it has no images")) } else { Ok(names) }
}

/// Each picture's annotation, in order of the index.
fn gather(path: &Path, instances: &Instances<'_>) -> Result<Vec<Annotation>> {
    let twice = |part, id| wrong_at(path, part, id, "another has that `id` too");
    let mut categories = HashMap::new();
    for category in &instances.categories {
        if categories.insert(category.id, &category.name).is_some() {
            return Err(twice("category", category.id));
        }
    }
    let mut places = HashMap::new();
    for (i, image) in instances.images.iter().enumerate() {
        if places.insert(image.id, i).is_some() {
            return Err(twice("image", image.id));
        }
    }
    let size = |image: &Image<'_>| match (image.width, image.height) {
        (Some(width @ 1.0..=1e9), Some(height @ 1.0..=1e9)) => Some((width, height)),
        _ => None,
    };
    let fresh = |image| Annotation { size: size(image), marks: Vec::new() };
    let mut annotations: Vec<Annotation> = instances.images.iter().map(fresh).collect();
    for &Instance { id, image_id, category_id, bbox: [x, y, width, height], iscrowd } in
        &instances.annotations
    {
        let unknown =
            |what, of| wrong_at(path, "annotation", id, format!("no {what} has the id {of}"));
        let place = *places.get(&image_id).ok_or_else(|| unknown("image", image_id))?;
        let class =
            *categories.get(&category_id).ok_or_else(|| unknown("category", category_id))?;
        if iscrowd == 0 {
            let edges = [x, y, x + width, y + height];
            annotations[place].marks.push(Mark { class: printable(class), edges, number: id });
        }
    }
    Ok(annotations)
}

#[cfg(test)]
mod tests {
    use super::super::support::{Place, names};

    const WHOLE: &str = r#"{"info": {"a": [1]},
        "images": [{"id": 9, "file_name": "b \u00e9.png", "width": 40, "height": 20},
                   {"id": 3, "file_name": "a.png", "license": 1},
                   {"id": 4, "file_name": "c.png"}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 17, "bbox": [2, 4, 10.5, 6], "iscrowd": 0,
             "segmentation": [[1, 2, 3]]},
            {"id": 2, "image_id": 9, "category_id": 17, "bbox": [0, 0, 40, 20], "iscrowd": 1,
             "segmentation": {"counts": [1], "size": [2, 2]}},
            {"id": 5, "image_id": 3, "category_id": 90, "bbox": [0, 0, 0, 3]},
            {"id": 6, "image_id": 4, "category_id": 90, "bbox": [0, 0, 40, 20], "iscrowd": 1}],
        "categories": [{"id": 17, "name": "cat"}, {"id": 90, "name": "tooth \"brush\""}]}"#;

    #[test]
    fn boxes_have_a_width_and_a_height_and_crowds_are_kept_out() {
        let texts = [("annotations/instances_val2014.json", WHOLE)];
        let place =
            Place::with(&texts, &["val2014/a.png", "val2014/b \u{e9}.png", "val2014/c.png"]);
        let data = place.open("val2014", &[]).expect("the index lies beside the folder");
        assert_eq!(names(&data), ["a.png", "b \u{e9}.png", "c.png"]);
        assert_eq!(data.describe(), "coco `val2014`");
        assert_eq!(place.shown(&data, 1).expect("it is there"), ["cat 1 2 6.25 5"]);
        let message = place.shown(&data, 0).expect_err("no width");
        let expected = "annotation 5: `a.png`: box (0, 0) to (0, 3) has no area";
        assert!(message.contains(expected), "{message}");
        assert!(place.shown(&data, 2).expect("only a crowd").is_empty());
        // The folder around both.
        let data = place.open("", &[]).expect("the index lies in it");
        assert_eq!(names(&data)[0], "val2014/a.png");
        assert!(data.load(1).is_ok());
    }

    #[test]
    fn of_several_indices_one_must_be_meant() {
        let indices = ["annotations/instances_a.json", "annotations/instances_b.json"];
        let place = Place::with(&indices.map(|name| (name, WHOLE)), &["a/a.png", "c/a.png"]);
        assert_eq!(place.open("a", &[]).expect("it has the folder's name").len(), 3);
        let message = place.refused("c", &[]);
        assert!(message.contains("`--annotations` must tell which of `"), "{message}");
        let data = place.open("c", &["--annotations", "@/annotations/instances_b.json"]);
        assert_eq!(data.expect("it is told").len(), 3);
        let message = place.refused("c", &["--annotations", "@/c.json"]);
        assert!(message.starts_with("cannot read `@/c.json`"), "{message}");
    }

    #[test]
    fn a_bad_index_is_refused() {
        let refused = |old: &str, new: &str| {
            assert!(WHOLE.contains(old), "{old}");
            let text = WHOLE.replacen(old, new, 1);
            Place::with(&[("instances_a.json", &text)], &[]).refused("", &[])
        };
        let end = |old, new, expected: &str| {
            let message = refused(old, new);
            assert!(message.ends_with(expected), "{message}");
        };
        end("\"image_id\": 3", "\"image_id\": 33", "annotation 5: no image has the id 33");
        end("\"category_id\": 90", "\"category_id\": 1", "annotation 5: no category has the id 1");
        end("\"id\": 9,", "\"id\": 3,", "image 3: another has that `id` too");
        end("{\"id\": 17", "{\"id\": 90", "category 90: another has that `id` too");
        end("\"a.png\"", "\"c.png\"", "image 4: another is `c.png` too");
        end("a.png", "../a.png", "leaves the folder, expected one inside");
        end("a.png", "/a.png", "leaves the folder, expected one inside");
        end("a.png", "", "image 3: `` names no file");
        let message = refused("[2, 4, 10.5, 6]", "[2, 4, 10.5]");
        assert!(
            message.contains("it does not hold COCO's instances: invalid length 3"),
            "{message}"
        );
        assert!(refused("10.5", "1e999").contains("number out of range"));
        assert!(refused("10.5", "NaN").contains("expected value at line 6"));
        assert!(refused("\"categories\"", "\"cats\"").contains("missing field `categories`"));
        let text = "{\"images\": [], \"annotations\": [], \"categories\": []}";
        let place = Place::with(&[("instances_a.json", text), ("b.json", &WHOLE[..400])], &[]);
        assert!(place.refused("", &[]).ends_with("it has no images"));
        assert!(
            place
                .refused("", &["--annotations", "@/b.json"])
                .contains("instances: EOF while parsing")
        );
        let deep = format!("{{\"info\": {}", "[".repeat(100_000));
        place.write("deep.json", deep);
        let message = place.refused("", &["--annotations", "@/deep.json"]);
        assert!(message.contains("EOF while parsing a list"), "{message}");
    }
}
