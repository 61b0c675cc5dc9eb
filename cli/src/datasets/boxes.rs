//! `boxes`: a folder of pictures with a `boxes.csv` that has a row for each box.
//!
//! Columns are found by their headers, of which a file may have more. Edges are as in
//! [`BoundingBox`](clrp::evaluation::BoundingBox): the right and lower ones exclusive. A picture may
//! have many rows; those of one need not be together. In the `boxes.csv` of `clrp scenes` the
//! column `index` names the picture `scene-00000.png`.

use std::collections::HashMap;
use std::path::Path;

use super::annotation::{Annotation, Mark};
use super::files::{Annotated, Files};
use super::index::{Index, Key};
use super::listing::{inside, printable, where_are};
use super::sheet::{Row, Sheet};
use crate::failure::Result;

/// The file's usual name.
pub(super) const INDEX: &str = "boxes.csv";

const PICTURE: [&str; 3] = ["file", "image", "filename"];
const CLASS: [&str; 4] = ["class_index", "class", "label", "digit"];
const EDGES: [[&str; 4]; 3] = [
    ["x0", "y0", "x1", "y1"],
    ["left", "top", "right", "bottom"],
    ["xmin", "ymin", "xmax", "ymax"],
];
const SIZE: [&str; 2] = ["orig_w", "orig_h"];

/// Opens a folder with such an index.
pub(super) fn open(folder: &Path, index: &Path) -> Result<Files> {
    let sheet = Sheet::open(index)?;
    let columns = Columns::of(&sheet)?;
    let mut annotations: HashMap<String, Annotation> = HashMap::new();
    for row in sheet.rows() {
        let name = columns.picture(row)?;
        let (mark, size) = (columns.mark(row)?, columns.size(row)?);
        let fresh = || Annotation { size, marks: Vec::new() };
        let annotation = annotations.entry(name).or_insert_with(fresh);
        if annotation.size != size {
            let [width, height] = SIZE;
            let what =
                format!("`{width}` and `{height}` are not those of the picture's other rows");
            return Err(row.wrong(what));
        }
        annotation.marks.push(mark);
    }
    let mut names: Vec<&str> = annotations.keys().map(String::as_str).collect();
    names.sort_unstable();
    let inner = where_are(folder, &[String::new(), "images/".to_owned()], names.into_iter());
    let named = |(name, annotation)| (format!("{inner}{name}"), annotation);
    let index = Index {
        path: index.to_owned(),
        part: "line",
        key: Key::Name,
        annotations: annotations.into_iter().map(named).collect(),
        is_numbered: sheet.column(&CLASS) == sheet.column(&CLASS[..1]),
    };
    let names = index.annotations.keys().cloned().collect();
    Ok(Files::new(folder, names, Annotated::Index(index)))
}

/// Where a row has what.
struct Columns {
    picture: Picture,
    class: usize,
    edges: [usize; 4],
    size: Option<[usize; 2]>,
}

enum Picture {
    Name(usize),
    /// The number of a scene.
    Scene(usize),
}

impl Columns {
    fn of(sheet: &Sheet) -> Result<Self> {
        let edges = EDGES.iter().find_map(|names| {
            let [left, top, right, bottom] = names.map(|name| sheet.column(&[name]));
            Some([left?, top?, right?, bottom?])
        });
        let named = EDGES.map(|names| names.join(","));
        let named = named.each_ref().map(String::as_str);
        let size = match SIZE.map(|name| sheet.column(&[name])) {
            [Some(width), Some(height)] => Some([width, height]),
            [None, None] => None,
            [Some(_), None] => return Err(sheet.lacks("the picture's height", &SIZE[1..])),
            [None, Some(_)] => return Err(sheet.lacks("the picture's width", &SIZE[..1])),
        };
        let picture = match (sheet.column(&PICTURE), sheet.column(&["index"])) {
            (None, Some(number)) => Picture::Scene(number),
            _ => Picture::Name(sheet.needed("the picture", &PICTURE)?),
        };
        let class = sheet.needed("the class", &CLASS)?;
        let edges = edges.ok_or_else(|| sheet.lacks("each edge", &named))?;
        Ok(Self { picture, class, edges, size })
    }

    fn picture(&self, row: Row<'_>) -> Result<String> {
        match self.picture {
            Picture::Name(column) => inside(row.text(column)?).map_err(|what| row.wrong(what)),
            Picture::Scene(column) => {
                let text = row.text(column)?;
                let number: u64 = text.parse().map_err(|_| {
                    row.wrong(format!("`index` is `{text}`, expected the number of a scene"))
                })?;
                Ok(format!("scene-{number:05}.png"))
            }
        }
    }

    fn mark(&self, row: Row<'_>) -> Result<Mark> {
        let mut edges = [0.0; 4];
        for (edge, &column) in edges.iter_mut().zip(&self.edges) {
            *edge = row.number(column)?;
        }
        Ok(Mark { class: printable(row.text(self.class)?), edges, number: row.line })
    }

    fn size(&self, row: Row<'_>) -> Result<Option<(f64, f64)>> {
        let Some([width, height]) = self.size else { return Ok(None) };
        let (width, height) = (row.number(width)?, row.number(height)?);
        if (1.0..=1e9).contains(&width) && (1.0..=1e9).contains(&height) {
            return Ok(Some((width, height)));
        }
        Err(row.wrong(format!("the picture has {width}x{height} pixels, expected at least 1x1")))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clrp::labels::Labels;

    use super::super::support::{Place, names, open};

    #[test]
    fn rows_are_gathered_by_picture_and_scaled_to_the_file() {
        // The file has 20x10 pixels, half of 40x20.
        let index = "file,class_index,orig_w,orig_h,x0,y0,x1,y1,x0_227\n\
                     b.png,65,40,20,4,2,20,18,9\n\
                     a b/\u{e9}.png,7,20,10,0,0,20,10,9\n\
                     ./b.png,66,40,20,-4,0,44,8,9\n\
                     b.png,65,40,20,0,0,2,2,9\n";
        let place = Place::with(&[("boxes.csv", index)], &["b.png", "a b/\u{e9}.png", "c.png"]);
        let data = place.open("", &[]).expect("it is recognised");
        assert_eq!(names(&data), ["a b/\u{e9}.png", "b.png"]);
        let expected = ["65 2 1 10 9", "65 0 0 1 1", "66 0 0 20 4"];
        assert_eq!(place.shown(&data, 1).expect("it is there"), expected);
        assert_eq!(place.shown(&data, 0).expect("it is there"), ["7 0 0 20 10"]);
        assert!(data.has_boxes() && data.describe().starts_with("boxes `"));
        let data = place.open("", &["--count", "1"]).expect("it is recognised");
        assert!(data.describe().ends_with("` (the first 1 of 2)"), "{}", data.describe());
        assert_eq!(data.len(), 1);
    }

    #[test]
    fn pictures_may_lie_in_images_and_the_index_elsewhere() {
        let rows = "image,label,xmin,ymin,xmax,ymax\nb.png,cat,1,2,3,4\na.png,cat,0,0,1,1\n";
        let texts = [("data/boxes.csv", rows), ("other.csv", rows)];
        let place = Place::with(&texts, &["data/images/b.png", "flat/a.png"]);
        let data = place.open("data", &[]).expect("it is recognised");
        assert_eq!(names(&data), ["images/a.png", "images/b.png"]);
        assert_eq!(place.shown(&data, 1).expect("it is there"), ["cat 1 2 3 4"]);
        // It is in the index, but missing.
        let message = place.shown(&data, 0).expect_err("it is missing");
        assert!(message.starts_with("cannot read `@/data/images/a.png`"), "{message}");

        let data = place.open("flat", &["--annotations", "@/other.csv"]).expect("it is given");
        assert_eq!(names(&data), ["a.png", "b.png"]);
        place.write("list", "b");
        let data = place.open("data", &["--list", "@/list"]).expect("it is recognised");
        assert_eq!(
            (names(&data), data.describe()),
            (vec!["images/b.png".into()], "boxes `data` (list)".into())
        );
    }

    #[test]
    fn scenes_written_to_a_folder_are_read_back() {
        let index = "index,digit,left,top,right,bottom\n0,7,1,2,3,4\n0,3,5,6,7,8\n12,7,0,0,1,1\n";
        let place = Place::with(&[("boxes.csv", index)], &["scene-00000.png", "scene-00012.png"]);
        let data = place.open("", &[]).expect("it is recognised");
        assert_eq!(names(&data), ["scene-00000.png", "scene-00012.png"]);
        assert_eq!(place.shown(&data, 0).expect("it is there"), ["7 1 2 3 4", "3 5 6 7 8"]);
    }

    #[test]
    fn numbers_are_outputs_under_that_header_only() {
        let labels = Labels::named(["1", "0", "cat"].map(str::to_owned));
        for (header, class) in [("class_index", 0), ("class", 1)] {
            let index = format!("file,{header},x0,y0,x1,y1\na.png,0,0,0,1,1\n");
            let place = Place::with(&[("boxes.csv", &index)], &["a.png"]);
            let data = place.open("", &[]).expect("it is recognised");
            let found =
                |name| data.class_of(name, &labels, "net").map_err(|error| error.to_string());
            assert_eq!(found("0"), Ok(class));
            assert_eq!(found("cat"), Ok(2));
            let expected = "target 3 is out of range, `net` has 3 classes";
            assert_eq!(found("3"), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_bad_index_is_refused_with_the_line() {
        let refused = |text: &str| Place::with(&[("boxes.csv", text)], &[]).refused("", &[]);
        let header = "file,class,left,top,right,bottom,orig_w,orig_h\n";
        let rows = |rows: &str| refused(&format!("{header}{rows}"));
        assert_eq!(rows(""), "`@/boxes.csv`: it has no rows");
        let expected = "`@/boxes.csv`, line 3: found 4 fields, expected 8 as in the header";
        assert_eq!(rows("a.png,1,0,0,1,1,9,9\nb.png,1,0,0"), expected);
        let expected = "`@/boxes.csv`, line 2: `left` is `x`, expected a number";
        assert_eq!(rows("a.png,1,x,0,1,1,9,9"), expected);
        assert_eq!(rows("a.png,,0,0,1,1,9,9"), "`@/boxes.csv`, line 2: `class` is empty");
        for name in ["../a.png", "/a.png", "..\\a.png", "b/../../a.png"] {
            let message = rows(&format!("{name},1,0,0,1,1,9,9"));
            assert!(
                message.contains("line 2") && message.contains("leaves the folder"),
                "{message}"
            );
        }
        let expected = "`@/boxes.csv`, line 2: the picture has 0x9 pixels, expected at least 1x1";
        assert_eq!(rows("a.png,1,0,0,1,1,0,9"), expected);
        let message = rows("a.png,1,0,0,1,1,9,9\na.png,1,0,0,1,1,9,8");
        assert!(message.contains("line 3: `orig_w` and `orig_h` are not"), "{message}");
    }

    #[test]
    fn a_lacking_column_is_named() {
        let refused = |text: &str| Place::with(&[("boxes.csv", text)], &[]).refused("", &[]);
        let expected = "`@/boxes.csv`: no column for the picture, expected file or image or \
                        filename, found class,x0,y0,x1,y1";
        assert_eq!(refused("class,x0,y0,x1,y1\n1,0,0,1,1"), expected);
        assert!(refused("file,x0,y0,x1,y1\na,0,0,1,1").contains("no column for the class"));
        let expected = "`@/boxes.csv`: no column for each edge, expected x0,y0,x1,y1 or \
                        left,top,right,bottom or xmin,ymin,xmax,ymax, found file,class,x0,y0,x1,top";
        assert_eq!(refused("file,class,x0,y0,x1,top\na,1,0,0,1,1"), expected);
        let size = "file,class,x0,y0,x1,y1,orig_w\na,1,0,0,1,1,9";
        assert!(refused(size).contains("no column for the picture's height, expected orig_h"));
        let message = refused("index,digit,left,top,right,bottom\n-1,1,0,0,1,1");
        assert!(message.ends_with("`index` is `-1`, expected the number of a scene"), "{message}");
    }

    #[test]
    fn a_bad_box_spoils_its_picture_only() {
        let index = "file,class,x0,y0,x1,y1\na.png,1,0,0,1,1\nb.png,1,5,0,3,1\nc.png,1,nan,0,1,1\n\
                     d.png,1,0,0,1,1\nd.png,2,20,0,25,5\n";
        let pictures = ["a.png", "b.png", "c.png", "d.png"];
        let place = Place::with(&[("boxes.csv", index)], &pictures);
        let data = place.open("", &[]).expect("it is recognised");
        assert!(place.shown(&data, 0).is_ok());
        let message = |i| place.shown(&data, i).expect_err("it is bad");
        let expected = "`@/boxes.csv`, line 3: `b.png`: box (5, 0) to (3, 1) has no area, expected \
                        finite edges, the right beyond the left and the lower below the upper";
        assert_eq!(message(1), expected);
        assert!(message(2).starts_with("`@/boxes.csv`, line 4: `c.png`: box (NaN, 0) to (1, 1)"));
        let expected = "`@/boxes.csv`, line 6: `d.png`: box (20, 0) to (25, 5) lies outside the \
                        picture, which has 20x10 pixels";
        assert_eq!(message(3), expected);
    }

    #[test]
    fn real_pictures_have_boxes_in_their_pixels() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
        let folder = format!("{root}/boxed/ilsvrc2012-val-400");
        if !std::path::Path::new(&folder).is_dir() {
            let mut note = std::io::stderr();
            writeln!(note, "real pictures are left out: {folder} is missing").expect("it is open");
            return;
        }
        let data = open(&["--dataset".to_owned(), folder]).expect("it is recognised");
        assert_eq!((data.len(), data.name(0)), (400, "images/ILSVRC2012_val_00000001.JPEG".into()));
        assert_eq!(data.describe(), "boxes `ilsvrc2012-val-400`");
        for i in (0..data.len()).step_by(16) {
            let sample = data.load(i).expect("it can be read");
            assert_eq!((sample.picture.width(), sample.picture.height()), (227, 227));
            let class = &sample.objects[0].class;
            let class = data.class_of(class, &Labels::imagenet(), "net").expect("it is known");
            assert!(class < 1000 && !sample.objects[0].boxes.is_empty());
        }
        // 111,108 to 441,193 of 500x375, as the column with 227 in its name says.
        let b = data.load(0).expect("it can be read").objects[0].boxes[0];
        let found = [b.left, b.top, b.right, b.bottom].map(|edge| (edge * 100.0).round() / 100.0);
        assert_eq!(found, [50.39, 65.38, 200.21, 116.83]);
    }
}
