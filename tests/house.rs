//! The house checks itself: who may use whom, sizes, pairs, and what must not stand in the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clrp::kernels::ALL;

/// What each folder or file of `src` may use besides itself, floor by floor.
const FLOORS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("aligned", &[]),
    ("num", &[]),
    ("file", &["error"]),
    ("tensor", &["error"]),
    ("kernels", &["aligned", "num"]),
    ("weight", &["file", "kernels", "num"]),
    ("scene", &["error"]),
    ("graph", &["error", "file", "kernels", "tensor", "weight"]),
    ("image", &["error", "file", "tensor"]),
    ("labels", &["error"]),
    ("models", &["error", "graph", "image", "labels", "num", "tensor", "weight"]),
    ("rules", &["error", "graph", "kernels", "weight"]),
    ("similarity", &["error", "image"]),
    ("switches", &["graph", "num", "tensor"]),
    ("methods", &["error", "kernels"]),
    ("program", &["error", "graph", "kernels", "methods", "rules", "tensor", "weight"]),
    ("backend", &["aligned", "error", "file", "kernels", "num", "program", "tensor", "weight"]),
    ("evaluation", &["error", "image", "scene", "tensor"]),
    (
        "explainer",
        &[
            "backend", "error", "graph", "image", "methods", "num", "program", "rules", "switches",
            "tensor",
        ],
    ),
];

/// The most lines a file may have; a longer one is several.
const LINES: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder of the repository, with their text.
fn files(folder: &str, endings: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("folders can be listed").path();
            let ending = path.extension().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                // What is built there is no source.
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if endings.contains(&&*ending) {
                let text = fs::read_to_string(&path).expect("sources are text");
                found.push((path.strip_prefix(root()).expect("it lies there").into(), text));
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(PathBuf, String)> {
    let files = files("src", &["rs"]);
    assert!(files.len() > 50, "the sources are in `src`");
    files
}

/// The part of a file before its unit tests, without comments.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The folder of `src`, or the file in it, that a source belongs to.
fn floor(path: &Path) -> String {
    let first = path.components().nth(1).expect("it lies in src");
    Path::new(first.as_os_str()).file_stem().expect("files have names").to_string_lossy().into()
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|name| !name.is_empty())
}

/// The parts of `text` between commas that stand in no braces, up to a brace that closes.
fn items(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let mut nests = |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth
    };
    let end = text.find(|c| nests(c) < 0).unwrap_or(text.len());
    let mut depth = 0_i32;
    let apart = |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0 && c == ','
    };
    text[..end].split(apart).collect()
}

/// The first names of all paths that start with `crate::`, in braces too.
fn crate_paths(code: &str) -> BTreeSet<&str> {
    let mut used = BTreeSet::new();
    for (_, rest) in
        code.match_indices("crate::").map(|(at, start)| code.split_at(at + start.len()))
    {
        let list = rest.strip_prefix('{').map_or_else(|| vec![rest], items);
        used.extend(list.into_iter().filter_map(|item| names(item).next()));
    }
    used
}

#[test]
fn folders_use_only_lower_floors() {
    let mut seen = BTreeSet::new();
    for (path, text) in sources() {
        let own = floor(&path);
        if own == "lib" {
            continue;
        }
        let of_floor = FLOORS.iter().find(|(folder, _)| *folder == own);
        let (_, allowed) = of_floor.unwrap_or_else(|| panic!("`{own}` is on no floor"));
        for used in crate_paths(&code(&text)) {
            // Types at the root (`Error`, `Result`, `Shape`) come from the two lowest floors.
            let lowest = used.starts_with(char::is_uppercase);
            let fine = lowest || used == own || allowed.contains(&used);
            assert!(fine, "{} uses `crate::{used}`", path.display());
        }
        seen.insert(own);
    }
    assert_eq!(seen, FLOORS.iter().map(|(folder, _)| (*folder).to_owned()).collect());
}

#[test]
fn folders_are_left_by_crate_paths_only() {
    for (path, text) in sources() {
        // As many as lead to the folder of the floor.
        let steps = path.components().count() - 2 - usize::from(path.ends_with("mod.rs"));
        let leaves = code(&text).contains(&"super::".repeat(steps + 1));
        assert!(!leaves, "{} leaves its folder by `super`", path.display());
    }
}

#[test]
fn floors_lead_down() {
    for (i, (folder, allowed)) in FLOORS.iter().enumerate() {
        for used in *allowed {
            let below = FLOORS[..i].iter().any(|(lower, _)| lower == used);
            assert!(below, "`{folder}` may not use `{used}`, which is not below it");
        }
    }
}

#[test]
fn no_file_is_long() {
    for folder in
        ["src", "shaders", "tests", "cli", "benches", "examples", "bindings", "weights-tools"]
    {
        for (path, text) in files(folder, &["rs", "wgsl", "py"]) {
            let lines = text.lines().count();
            assert!(lines <= LINES, "{} has {lines} lines", path.display());
        }
    }
}

#[test]
fn every_kernel_is_two_files_with_one_name() {
    let stems = |files: Vec<(PathBuf, String)>| -> BTreeSet<String> {
        let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        files.iter().filter_map(|(path, _)| stem(path)).collect()
    };
    let mut halves = files("src/kernels", &["rs"]);
    halves.retain(|(path, text)| {
        path.file_name().is_some_and(|name| name != "mod.rs") && text.contains("kernel!(")
    });
    for (path, text) in &halves {
        let stem = path.file_stem().expect("files have names").to_string_lossy();
        assert!(text.contains(&format!("kernel!(\"{stem}\"")), "{}", path.display());
    }
    let halves = stems(halves);
    assert_eq!(halves, stems(files("shaders", &["wgsl"])));
    assert_eq!(halves, ALL.iter().map(|kernel| kernel.name.to_owned()).collect());
}

/// Asserts that the word stands only in sources that `allowed` names the start of.
fn only_in(word: &str, allowed: &[&str]) {
    let mut found = false;
    for (path, text) in sources() {
        if code(&text).contains(word) {
            let path = path.to_string_lossy().replace('\\', "/");
            let fine = allowed.iter().any(|start| path.starts_with(start));
            assert!(fine, "{path} uses `{word}`");
            found = true;
        }
    }
    assert!(found, "nothing uses `{word}`");
}

#[test]
fn the_outside_world_is_met_in_few_places() {
    only_in("wgpu", &["src/backend/gpu/", "src/explainer/builder.rs", "src/lib.rs"]);
    only_in("std::fs", &["src/file.rs", "src/file/mapped.rs"]);
    let unsafe_in = [
        "src/backend/gpu/cooperative.rs",
        "src/backend/gpu/pipelines.rs",
        "src/backend/gpu/pipelines_on_disk.rs",
        "src/file/mapped.rs",
        "src/kernels/ahead.rs",
        "src/kernels/colors.rs",
        "src/kernels/epilogue.rs",
        "src/kernels/matmul.rs",
        "src/kernels/panels.rs",
        "src/kernels/sums.rs",
        "src/kernels/winograd.rs",
    ];
    only_in("unsafe", &unsafe_in);
}

#[test]
fn the_library_neither_prints_nor_panics_lightly() {
    let unwanted = [".unwrap()", "println!", "print!(", "dbg!(", "todo!(", "unimplemented!("];
    for (path, text) in sources() {
        for word in unwanted {
            assert!(!code(&text).contains(word), "{} has `{word}`", path.display());
        }
    }
}

#[test]
fn every_todo_has_its_issue() {
    // In two halves, so that this file has none.
    let word = ["TO", "DO"].concat();
    for folder in ["src", "shaders", "tests", "cli", "weights-tools"] {
        for (path, text) in files(folder, &["rs", "wgsl", "py"]) {
            for line in text.lines().filter(|line| line.contains(&word)) {
                let has_issue = line
                    .split('#')
                    .skip(1)
                    .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
                assert!(has_issue, "{}: {}", path.display(), line.trim());
            }
        }
    }
}

#[test]
fn no_placeholder_is_left_in_documents() {
    // In two halves, so that this file has none.
    let mark = ["@", "@"].concat();
    let mut texts = files("docs", &["md"]);
    for name in ["README.md", "CHANGELOG.md"] {
        let text = fs::read_to_string(root().join(name)).expect("it is there");
        texts.push((name.into(), text));
    }
    for (path, text) in texts {
        assert!(!text.contains(&mark), "{} has a placeholder", path.display());
    }
}
