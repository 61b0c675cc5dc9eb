//! PASCAL's XML annotations: what VOC and ILSVRC have for each picture.
//!
//! Foreign files must not cost memory or time: no entity but the five of XML and numbered
//! characters is known, document type declarations are refused, and depth is limited.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};

use super::annotation::{Annotation, Mark};
use super::listing::printable;
use super::text::line_of;

/// Elements in elements, at most.
const DEPTH: usize = 32;

/// How an annotation counts pixels; both are of the inclusive first and last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PixelNumbers {
    /// From 1, as VOC's devkit says: the left edge is `xmin - 1`, the right one `xmax`.
    FromOne,
    /// Taken for edges as they are.
    AsEdges,
}

/// Reads an annotation. Names and boxes of an object's parts are left out; objects marked as
/// `difficult` or `truncated` are kept.
pub(super) fn parse(text: &str, numbers: PixelNumbers) -> Result<Annotation, String> {
    let mut reader = Reader::from_str(text);
    let mut parser = Parser::new(numbers);
    loop {
        let start = reader.buffer_position();
        let event = reader.read_event();
        let at = if event.is_err() { reader.error_position() } else { start };
        let done = match event {
            Ok(event) => parser.take(&event),
            Err(error) => Err(error.to_string()),
        };
        let line = || line_of(text.as_bytes(), usize::try_from(at).unwrap_or(usize::MAX));
        if done.map_err(|what| format!("{} in line {}", printable(&what), line()))? {
            return Ok(parser.annotation);
        }
    }
}

struct Parser {
    numbers: PixelNumbers,
    annotation: Annotation,
    /// The names of the open elements.
    open: Vec<String>,
    /// That of the innermost.
    text: String,
    width: Option<f64>,
    height: Option<f64>,
    has_root: bool,
    objects: i64,
    name: Option<String>,
    edges: [Option<f64>; 4],
}

const EDGES: [&str; 4] = ["xmin", "ymin", "xmax", "ymax"];

impl Parser {
    fn new(numbers: PixelNumbers) -> Self {
        Self {
            numbers,
            annotation: Annotation::default(),
            open: Vec::new(),
            text: String::new(),
            width: None,
            height: None,
            has_root: false,
            objects: 0,
            name: None,
            edges: [None; 4],
        }
    }

    /// Takes a piece of the file; whether it was the last.
    fn take(&mut self, event: &Event<'_>) -> Result<bool, String> {
        match event {
            Event::Start(start) => self.start(start.name().into_inner())?,
            Event::Empty(start) => {
                self.start(start.name().into_inner())?;
                self.end()?;
            }
            Event::End(_) => self.end()?,
            Event::Text(text) => self.text += &text.decode().map_err(|error| error.to_string())?,
            Event::CData(text) => self.text += &text.decode().map_err(|error| error.to_string())?,
            Event::GeneralRef(reference) => self.text.push(character(reference)?),
            Event::DocType(_) => return Err("found a document type, expected none".to_owned()),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof => return self.finish().map(|()| true),
        }
        Ok(false)
    }

    fn start(&mut self, name: &[u8]) -> Result<(), String> {
        let name = String::from_utf8_lossy(name).into_owned();
        if self.open.len() == DEPTH {
            return Err(format!("`<{name}>` lies in more than {DEPTH} elements"));
        }
        if self.open.is_empty() && name != "annotation" {
            return Err(format!("found `<{name}>`, expected `<annotation>`"));
        }
        self.has_root = true;
        self.open.push(name);
        self.text.clear();
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let path: Vec<&str> = self.open.iter().map(String::as_str).collect();
        let text = self.text.trim();
        match path[..] {
            ["annotation", "size", "width"] => self.width = Some(number("width", text)?),
            ["annotation", "size", "height"] => self.height = Some(number("height", text)?),
            ["annotation", "object", "name"] => once(&mut self.name, "name", printable(text))?,
            ["annotation", "object", "bndbox", edge] => {
                if let Some(place) = EDGES.iter().position(|name| *name == edge) {
                    once(&mut self.edges[place], edge, number(edge, text)?)?;
                }
            }
            ["annotation", "object"] => self.end_object()?,
            _ => {}
        }
        self.text.clear();
        self.open.pop();
        Ok(())
    }

    fn end_object(&mut self) -> Result<(), String> {
        self.objects += 1;
        let number = self.objects;
        let lacks = |what| format!("object {number} has no `<{what}>`");
        let class =
            self.name.take().filter(|name| !name.is_empty()).ok_or_else(|| lacks("name"))?;
        let mut edges = [0.0; 4];
        for ((edge, found), name) in edges.iter_mut().zip(&mut self.edges).zip(EDGES) {
            *edge = found.take().ok_or_else(|| lacks(name))?;
        }
        if self.numbers == PixelNumbers::FromOne {
            edges[0] -= 1.0;
            edges[1] -= 1.0;
        }
        self.annotation.marks.push(Mark { class, edges, number });
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        if let Some(name) = self.open.last() {
            return Err(format!("the file is truncated: `<{name}>` is not closed"));
        }
        if !self.has_root {
            return Err("found no element, expected `<annotation>`".to_owned());
        }
        // Some tools write 0 for a size that they do not know.
        if let (Some(width @ 1.0..=1e9), Some(height @ 1.0..=1e9)) = (self.width, self.height) {
            self.annotation.size = Some((width, height));
        }
        Ok(())
    }
}

/// Sets what must not be set twice.
fn once<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("an object has a second `<{name}>`")),
    }
}

fn number(name: &str, text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("`<{name}>` is `{text}`, expected a number"))
}

/// What `&amp;` or `&#38;` stands for.
fn character(reference: &BytesRef<'_>) -> Result<char, String> {
    let numbered = reference.resolve_char_ref().map_err(|error| error.to_string())?;
    let name = reference.decode().map_err(|error| error.to_string())?;
    let named = || resolve_xml_entity(&name).and_then(|text| text.chars().next());
    numbered.or_else(named).ok_or_else(|| format!("unknown entity `&{name};`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOG: &str = "<object><name>dog</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax>\
                       <ymax>4.5</ymax></bndbox></object>";

    fn refused(text: &str) -> String {
        parse(text, PixelNumbers::FromOne).expect_err("it is refused")
    }

    #[test]
    fn objects_have_a_name_and_edges() {
        // Edges in another order, a part with a name and a box of its own, comments and escapes.
        let text = format!(
            "\u{feff}<?xml version=\"1.0\"?>\n<annotation><filename>x</filename>\n<size>\
             <width>50</width><height>40</height><depth>3</depth></size>{DOG}<!-- & -->\
             <object><name> a &amp; b&#33;<![CDATA[<]]> </name><difficult>1</difficult><bndbox>\
             <xmax>9</xmax><xmin>5</xmin><ymax>8</ymax><ymin>6</ymin></bndbox><part>\
             <name>head</name><bndbox><xmin>0</xmin></bndbox></part><point/></object></annotation>\n"
        );
        let text = text.trim_start_matches('\u{feff}');
        let annotation = parse(text, PixelNumbers::FromOne).expect("it is fine");
        assert_eq!(annotation.size, Some((50.0, 40.0)));
        let mark = |class: &str, edges, number| Mark { class: class.to_owned(), edges, number };
        let expected =
            [mark("dog", [0.0, 1.0, 3.0, 4.5], 1), mark("a & b!<", [4.0, 5.0, 9.0, 8.0], 2)];
        assert_eq!(annotation.marks, expected);

        let annotation = parse(text, PixelNumbers::AsEdges).expect("it is fine");
        assert_eq!(annotation.marks[0].edges, [1.0, 2.0, 3.0, 4.5]);
        let empty = parse("<annotation/>", PixelNumbers::AsEdges).expect("it is fine");
        assert_eq!(empty, Annotation::default());
        let unknown = "<annotation><size><width>0</width><height>0</height></size></annotation>";
        assert_eq!(parse(unknown, PixelNumbers::AsEdges).expect("it is fine").size, None);
    }

    #[test]
    fn bombs_are_refused() {
        let laughs = "<?xml version=\"1.0\"?>\n<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol1 \
                      \"&lol;&lol;\">]>\n<annotation>&lol1;</annotation>";
        assert_eq!(refused(laughs), "found a document type, expected none in line 2");
        let external = "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><annotation>&a;</annotation>";
        assert!(refused(external).starts_with("found a document type"));
        let unknown = "<annotation>\n&lol;</annotation>";
        assert_eq!(refused(unknown), "unknown entity `&lol;` in line 2");
        assert!(refused("<annotation>&#x110000;</annotation>").ends_with(" in line 1"));
        let deep = format!("<annotation>{}", "<a>".repeat(100_000));
        assert_eq!(refused(&deep), "`<a>` lies in more than 32 elements in line 1");
    }

    #[test]
    fn every_part_of_a_file_is_refused() {
        let whole = format!("<annotation>{DOG}</annotation>");
        assert!(parse(&whole, PixelNumbers::FromOne).is_ok());
        for end in 0..whole.len() {
            let message = refused(&whole[..end]);
            assert!(message.ends_with(" in line 1") && !message.contains('\n'), "{message}");
        }
        let half = "<annotation>\n<object>";
        assert_eq!(refused(half), "the file is truncated: `<object>` is not closed in line 2");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let with =
            |old, new| refused(&format!("<annotation>{}</annotation>", DOG.replace(old, new)));
        assert_eq!(with("<name>dog</name>", ""), "object 1 has no `<name>` in line 1");
        assert_eq!(with("dog", " "), "object 1 has no `<name>` in line 1");
        assert_eq!(with("<xmax>3</xmax>", ""), "object 1 has no `<xmax>` in line 1");
        assert_eq!(with(">3<", ">x<"), "`<xmax>` is `x`, expected a number in line 1");
        assert_eq!(
            with("<ymin>", "<ymin>1</ymin><ymin>"),
            "an object has a second `<ymin>` in line 1"
        );
        assert_eq!(refused("<html></html>"), "found `<html>`, expected `<annotation>` in line 1");
        let crossed = refused("<annotation><a></annotation>");
        assert!(crossed.ends_with(" in line 1"), "{crossed}");
    }
}
