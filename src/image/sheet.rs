//! Several pictures on one page: a row for each target, a column for each method,
//! captions above the columns and labels left of the rows.

use super::picture::Picture;
use super::text::{Font, wrap};
use crate::{Error, Result};

const MARGIN: u32 = 24;
const GAP: u32 = 12;
/// Between a text and the pictures it belongs to.
const TEXT_GAP: u32 = 14;
/// Between a label and its detail.
const DETAIL_GAP: u32 = 4;
/// Smaller pictures are enlarged until a side is at least this long.
const MIN_SIDE: u32 = 192;
const LABEL_COLUMNS: usize = 15;
const LABEL_LINES: usize = 4;
const DETAIL_COLUMNS: usize = 26;
const DETAIL_LINES: usize = 2;
const CAPTION_LINES: usize = 2;
const NOTE_LINES: usize = 2;
/// Between a picture and its note.
const NOTE_GAP: u32 = 4;

const PAPER: [u8; 3] = [255; 3];
const INK: [u8; 3] = [32; 3];
const FAINT_INK: [u8; 3] = [96; 3];
const FRAME: [u8; 3] = [208; 3];

/// A page of pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    /// What stands above each column, as a method's name.
    pub captions: Vec<String>,
    /// The rows, from top to bottom.
    pub rows: Vec<SheetRow>,
}

/// One row of a [`Sheet`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SheetRow {
    /// What stands left of the row, as a class.
    pub label: String,
    /// What stands below that, smaller, as a probability.
    pub detail: String,
    /// The pictures, from left to right.
    pub pictures: Vec<Picture>,
    /// What stands below each picture; fewer for pictures without a note.
    pub notes: Vec<String>,
}

impl Sheet {
    /// Draws the page.
    ///
    /// Small pictures are enlarged by a whole number without smoothing, texts that
    /// are too long are wrapped and then shortened. Rows may have different lengths.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no picture; [`Error::PictureSize`] if the page
    /// would be larger than [`Picture::MAX_PIXELS`].
    pub fn render(&self) -> Result<Picture> {
        let layout = Layout::of(self)?;
        let mut page = Picture::filled(layout.width, layout.height, PAPER);
        for (column, lines) in layout.captions.iter().enumerate() {
            layout.draw_caption(&mut page, column, lines);
        }
        for (i, (row, text)) in self.rows.iter().zip(&layout.texts).enumerate() {
            layout.draw_text(&mut page, i, text);
            for (column, picture) in row.pictures.iter().enumerate() {
                layout.draw_picture(&mut page, column, i, picture);
            }
            for (column, note) in row.notes.iter().enumerate() {
                layout.draw_note(&mut page, column, i, note);
            }
        }
        Ok(page)
    }
}

/// Where everything goes, in pixels.
struct Layout {
    width: u32,
    height: u32,
    /// Upper left corner of the first cell.
    left: u32,
    top: u32,
    cell_width: u32,
    cell_height: u32,
    /// Room for notes below each row.
    note_height: u32,
    captions: Vec<Vec<String>>,
    texts: Vec<RowText>,
}

/// The lines left of a row.
struct RowText {
    label: Vec<String>,
    detail: Vec<String>,
}

impl RowText {
    fn of(row: &SheetRow) -> Self {
        let label = wrap(&row.label, LABEL_COLUMNS, LABEL_LINES);
        Self { label, detail: wrap(&row.detail, DETAIL_COLUMNS, DETAIL_LINES) }
    }

    fn width(&self) -> u32 {
        let label = self.label.iter().map(|line| Font::Large.width(line));
        let detail = self.detail.iter().map(|line| Font::Small.width(line));
        label.chain(detail).max().unwrap_or(0)
    }

    fn height(&self) -> u32 {
        let label = self.label.len() as u32 * Font::Large.line_height();
        let detail = self.detail.len() as u32 * Font::Small.line_height();
        label + detail + self.gap()
    }

    fn gap(&self) -> u32 {
        if self.label.is_empty() || self.detail.is_empty() { 0 } else { DETAIL_GAP }
    }
}

impl Layout {
    fn of(sheet: &Sheet) -> Result<Self> {
        let sizes = || {
            let pictures = sheet.rows.iter().flat_map(|row| &row.pictures);
            pictures.map(|picture| {
                let factor = factor(picture);
                (picture.width().saturating_mul(factor), picture.height().saturating_mul(factor))
            })
        };
        let cell_width = sizes().map(|size| size.0).max().ok_or_else(no_picture)?;
        let cell_height = sizes().map(|size| size.1).max().ok_or_else(no_picture)?;

        let caption_columns = cell_width / Font::Large.character_width();
        let wrapped = |caption: &String| wrap(caption, caption_columns as usize, CAPTION_LINES);
        let captions: Vec<_> = sheet.captions.iter().map(wrapped).collect();
        let caption_lines = captions.iter().map(Vec::len).max().unwrap_or(0) as u32;

        let texts: Vec<_> = sheet.rows.iter().map(RowText::of).collect();
        let text_width = texts.iter().map(RowText::width).max().unwrap_or(0);

        let beside = |size: u32| if size == 0 { MARGIN } else { MARGIN + size + TEXT_GAP };
        let (left, top) = (beside(text_width), beside(caption_lines * Font::Large.line_height()));
        let notes = sheet.rows.iter().flat_map(|row| &row.notes);
        let note_lines = notes.map(|note| note_lines(note, cell_width).len()).max().unwrap_or(0);
        let note_height = match note_lines {
            0 => 0,
            lines => NOTE_GAP + lines as u32 * Font::Small.line_height(),
        };
        let columns = sheet.rows.iter().map(|row| row.pictures.len()).max().unwrap_or(0);
        let columns = columns.max(sheet.captions.len());
        let width = length(left, columns, cell_width);
        let height = length(top, sheet.rows.len(), cell_height.saturating_add(note_height));
        let (Some(width), Some(height)) = (width, height) else {
            return Err(too_large(u32::MAX, u32::MAX));
        };
        if u64::from(width) * u64::from(height) > Picture::MAX_PIXELS {
            return Err(too_large(width, height));
        }
        Ok(Self { width, height, left, top, cell_width, cell_height, note_height, captions, texts })
    }

    fn cell(&self, column: usize, row: usize) -> (u32, u32) {
        let x = self.left + column as u32 * (self.cell_width + GAP);
        (x, self.top + row as u32 * (self.cell_height + self.note_height + GAP))
    }

    /// Centred above the column, the last line next to the pictures.
    fn draw_caption(&self, page: &mut Picture, column: usize, lines: &[String]) {
        let (x, y) = self.cell(column, 0);
        let mut top = y - TEXT_GAP - lines.len() as u32 * Font::Large.line_height();
        for line in lines {
            let left = x + self.cell_width.saturating_sub(Font::Large.width(line)) / 2;
            Font::Large.draw(page, line, left, top, INK);
            top += Font::Large.line_height();
        }
    }

    /// Right next to the row, at half its height.
    fn draw_text(&self, page: &mut Picture, row: usize, text: &RowText) {
        let (x, y) = self.cell(0, row);
        let mut top = y + self.cell_height.saturating_sub(text.height()) / 2;
        let label = text.label.iter().map(|line| (line, Font::Large, INK, 0));
        let gaps = std::iter::once(text.gap()).chain(std::iter::repeat(0));
        let detail = text.detail.iter().zip(gaps);
        let detail = detail.map(|(line, gap)| (line, Font::Small, FAINT_INK, gap));
        for (line, font, ink, gap) in label.chain(detail) {
            let left = (x - TEXT_GAP).saturating_sub(font.width(line));
            font.draw(page, line, left, top + gap, ink);
            top += gap + font.line_height();
        }
    }

    /// Centred below the cell.
    fn draw_note(&self, page: &mut Picture, column: usize, row: usize, note: &str) {
        let (x, y) = self.cell(column, row);
        let mut top = y + self.cell_height + NOTE_GAP;
        for line in note_lines(note, self.cell_width) {
            let left = x + self.cell_width.saturating_sub(Font::Small.width(&line)) / 2;
            Font::Small.draw(page, &line, left, top, INK);
            top += Font::Small.line_height();
        }
    }

    /// In the middle of its cell, in a thin frame.
    fn draw_picture(&self, page: &mut Picture, column: usize, row: usize, picture: &Picture) {
        let enlarged = picture.enlarged(factor(picture));
        let (x, y) = self.cell(column, row);
        let left = x + (self.cell_width - enlarged.width()) / 2;
        let top = y + (self.cell_height - enlarged.height()) / 2;
        let frame = Picture::filled(enlarged.width() + 2, enlarged.height() + 2, FRAME);
        page.paste(&frame, left - 1, top - 1);
        page.paste(&enlarged, left, top);
    }
}

fn note_lines(note: &str, cell_width: u32) -> Vec<String> {
    wrap(note, (cell_width / Font::Small.character_width()) as usize, NOTE_LINES)
}

/// How often a picture fits, at least once.
fn factor(picture: &Picture) -> u32 {
    MIN_SIDE.div_ceil(picture.width().max(picture.height()))
}

/// Of the page along one side, if a number can hold it.
fn length(start: u32, count: usize, cell: u32) -> Option<u32> {
    let cells = cell.checked_add(GAP)?.checked_mul(u32::try_from(count).ok()?)?;
    start.checked_add(cells)?.checked_add(MARGIN - GAP)
}

fn no_picture() -> Error {
    Error::Setting {
        what: "a sheet",
        found: "without a picture".to_owned(),
        expected: "at least one".to_owned(),
    }
}

fn too_large(width: u32, height: u32) -> Error {
    let expected = format!("at most {} in all", Picture::MAX_PIXELS);
    Error::PictureSize { name: "sheet".to_owned(), width, height, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str, pictures: &[Picture]) -> SheetRow {
        SheetRow { label: label.to_owned(), pictures: pictures.to_vec(), ..SheetRow::default() }
    }

    #[test]
    fn notes_stand_below_their_pictures() {
        let blue = Picture::filled(200, 200, [0, 0, 255]);
        let notes = vec!["zebra".to_owned()];
        let noted = SheetRow { pictures: vec![blue.clone()], notes, ..SheetRow::default() };
        let page = Sheet { captions: Vec::new(), rows: vec![noted, row("", &[blue])] };
        let page = page.render().expect("it has pictures");
        let note = NOTE_GAP + Font::Small.line_height();
        assert_eq!((page.width(), page.height()), (248, 24 + 2 * (200 + note) + 12 + 24));
        let dark = |y: u32| (24..224).any(|x| page.pixel(x, y).is_some_and(|p| p[2] < 100));
        assert!((226..226 + note).any(dark));
        assert!(!(226..226 + note).any(|y| dark(y + 200 + note + 12)));
    }

    #[test]
    fn small_pictures_are_enlarged_and_framed() {
        let red = Picture::filled(64, 32, [255, 0, 0]);
        let page = Sheet { captions: Vec::new(), rows: vec![row("", &[red])] };
        let page = page.render().expect("it has a picture");
        // 3 * 64 = 192 and 3 * 32 = 96, and a margin of 24 all round.
        assert_eq!((page.width(), page.height()), (240, 144));
        assert_eq!(page.pixel(24, 24), Some([255, 0, 0]));
        assert_eq!(page.pixel(215, 119), Some([255, 0, 0]));
        assert_eq!(page.pixel(23, 60), Some(FRAME));
        assert_eq!(page.pixel(216, 120), Some(FRAME));
        assert_eq!(page.pixel(22, 60), Some(PAPER));
    }

    #[test]
    fn captions_and_labels_take_room_of_their_own() {
        let blue = Picture::filled(200, 200, [0, 0, 255]);
        let captions = vec!["input".to_owned(), "clrp1".to_owned()];
        let rows = vec![row("zebra", &[blue.clone(), blue.clone()]), row("lynx", &[blue])];
        let page = Sheet { captions, rows }.render().expect("it has pictures");
        let left = 24 + 5 * Font::Large.character_width() + 14;
        let top = 24 + 24 + 14;
        assert_eq!((page.width(), page.height()), (left + 436, top + 436));
        assert_eq!(page.pixel(left, top), Some([0, 0, 255]));
        assert_eq!(page.pixel(left + 212, top), Some([0, 0, 255]));
        // The second row has only one picture.
        assert_eq!(page.pixel(left + 212, top + 212), Some(PAPER));
        let dark = |x: u32, y: u32| page.pixel(x, y).is_some_and(|pixel| pixel[2] < 100);
        assert!((24..left).any(|x| (top..top + 200).any(|y| dark(x, y))));
        assert!((left..left + 200).any(|x| (24..top).any(|y| dark(x, y))));
    }

    #[test]
    fn any_text_is_drawn_without_leaving_the_page() {
        let pictures = [Picture::filled(1, 1, [0; 3]), Picture::filled(300, 2, [0; 3])];
        let long = "a very long text \u{1f993} ".repeat(40);
        let detail = "0.123456789".repeat(9);
        let rows = vec![SheetRow {
            label: long.clone(),
            detail,
            pictures: pictures.to_vec(),
            notes: Vec::new(),
        }];
        let page = Sheet { captions: vec![long; 3], rows }.render().expect("it has pictures");
        assert!(page.width() < 1500 && page.height() < 400);
    }

    #[test]
    fn a_sheet_without_pictures_or_too_large_is_an_error() {
        assert!(Sheet::default().render().is_err());
        let rows = vec![row("nothing", &[])];
        assert!(Sheet { captions: Vec::new(), rows }.render().is_err());
        let rows = vec![row("", &[Picture::filled(20_000, 1, [0; 3])]); 600];
        let wide = Picture::filled(1, 9_000, [0; 3]);
        let rows = [rows, vec![row("", &[wide])]].concat();
        let error = Sheet { captions: Vec::new(), rows }.render().expect_err("it is too large");
        assert!(error.to_string().starts_with("`sheet` has 20048x"), "{error}");
    }
}
