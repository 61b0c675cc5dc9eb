//! `voc`: `VOC2007` of a `VOCdevkit`, or another year.
//!
//! Pictures are those in `JPEGImages`, of all splits unless a list is given; one of the devkit, as
//! `ImageSets/Main/test.txt`, may be called `test`. Objects that are marked as difficult or
//! truncated are kept, as TorchRay keeps them. Pixels are counted from 1, see
//! [`PixelNumbers::FromOne`].

use std::path::Path;

use super::files::{Annotated, Files};
use super::listing::some_pictures;
use super::xml::PixelNumbers;
use super::xml_folder::XmlFolder;
use crate::failure::Result;

/// Where pictures lie.
pub(super) const PICTURES: &str = "JPEGImages";

/// Where lists lie.
pub(super) const LISTS: &str = "ImageSets/Main";

/// Opens such a folder.
pub(super) fn open(folder: &Path, annotations: Option<&Path>) -> Result<Files> {
    let names = some_pictures(folder, PICTURES)?;
    let annotations = annotations.map_or_else(|| folder.join("Annotations"), Path::to_owned);
    let xml = XmlFolder { folder: annotations, numbers: PixelNumbers::FromOne };
    Ok(Files::new(folder, names, Annotated::XmlFolder(xml)))
}

#[cfg(test)]
mod tests {
    use super::super::support::{Place, names};

    const OBJECT: &str = "<object><name>dog</name><difficult>1</difficult><bndbox><xmin>1</xmin>\
                          <ymin>2</ymin><xmax>20</xmax><ymax>3</ymax></bndbox></object>";

    fn devkit() -> Place {
        let size = "<size><width>20</width><height>10</height></size>";
        let xml = format!("<annotation>{size}{OBJECT}{OBJECT}</annotation>");
        let half = format!("<annotation>{OBJECT}");
        let place = Place::with(
            &[
                ("VOC2007/Annotations/000001.xml", &xml),
                ("VOC2007/Annotations/000002.xml", &half),
                ("VOC2007/Annotations/000003.xml", "<annotation></annotation>"),
                ("VOC2007/ImageSets/Main/test.txt", "000003 -1\n000001  1\n000009 -1\n"),
            ],
            &[],
        );
        for number in 1..=4 {
            place.picture(&format!("VOC2007/JPEGImages/00000{number}.jpg"), 20, 10);
        }
        place
    }

    #[test]
    fn pixels_count_from_one() {
        let place = devkit();
        let data = place.open("VOC2007", &[]).expect("it is recognised");
        let expected = [1, 2, 3, 4].map(|number| format!("JPEGImages/00000{number}.jpg"));
        assert_eq!((names(&data), data.describe()), (expected.to_vec(), "voc `VOC2007`".into()));
        assert!(data.has_boxes());
        assert_eq!(place.shown(&data, 0).expect("it is there"), ["dog 0 1 20 3"; 2]);
        // A copy of another size.
        place.picture("VOC2007/JPEGImages/000001.jpg", 10, 20);
        assert!(place.shown(&data, 0).expect_err("on its side").contains("lies on its side"));
        place.picture("VOC2007/JPEGImages/000001.jpg", 40, 40);
        assert_eq!(place.shown(&data, 0).expect("it is there"), ["dog 0 4 40 12"; 2]);
    }

    #[test]
    fn bad_annotations_spoil_their_picture_only() {
        let place = devkit();
        let data = place.open("VOC2007", &[]).expect("it is recognised");
        let message = |i| place.shown(&data, i).expect_err("it is bad");
        let expected = "`@/VOC2007/Annotations/000002.xml`: the file is truncated: `<annotation>` \
                        is not closed in line 1";
        assert_eq!(message(1), expected);
        // One without objects, one without a file.
        for i in [2, 3] {
            assert!(place.shown(&data, i).expect("it can be read").is_empty());
        }
        let laughs =
            "<!DOCTYPE l [<!ENTITY a \"&b;&b;\"><!ENTITY b \"ha\">]><annotation>&a;</annotation>";
        place.write("VOC2007/Annotations/000001.xml", laughs);
        assert!(message(0).ends_with("found a document type, expected none in line 1"));
        let long = format!("<annotation>{}</annotation>", " ".repeat(1 << 20));
        place.write("VOC2007/Annotations/000001.xml", long);
        assert!(message(0).ends_with("it has more than 1048576 bytes"), "{}", message(0));
        let outside = OBJECT.replace(">1<", ">21<").replace(">20<", ">30<");
        let outside = format!("<annotation>{OBJECT}{outside}</annotation>");
        place.write("VOC2007/Annotations/000001.xml", outside);
        let expected = "`@/VOC2007/Annotations/000001.xml`, object 2: box (20, 1) to (30, 3) lies \
                        outside the picture, which has 20x10 pixels";
        assert_eq!(message(0), expected);
    }

    #[test]
    fn lists_of_the_devkit_are_known_by_name() {
        let place = devkit();
        for list in ["test", "test.txt", "@/VOC2007/ImageSets/Main/test.txt"] {
            let data = place.open("VOC2007", &["--list", list]).expect("it is there");
            assert_eq!(data.describe(), "voc `VOC2007` (test.txt)");
            let expected = ["JPEGImages/000003.jpg", "JPEGImages/000001.jpg", "000009"];
            assert_eq!(names(&data), expected);
            assert!(data.load(1).is_ok());
            assert!(
                place
                    .shown(&data, 2)
                    .expect_err("missing")
                    .starts_with("cannot read `@/VOC2007/000009`")
            );
        }
        let arguments = ["--list", "test", "--count", "2"];
        let data = place.open("VOC2007", &arguments).expect("it is there");
        assert_eq!(data.describe(), "voc `VOC2007` (test.txt, the first 2 of 3)");
        let message = place.refused("VOC2007", &["--list", "val"]);
        assert!(message.starts_with("cannot read `val`"), "{message}");
    }
}
