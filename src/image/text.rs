//! Lines of text on a picture, in Noto Sans Mono.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use super::picture::Picture;

/// What a text that does not fit ends with.
const ELLIPSIS: &str = "...";

/// A size of the font; every character is equally wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Font {
    /// Lines of 16 pixels.
    Small,
    /// Lines of 24 pixels.
    Large,
}

/// The ink of a line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMask {
    /// Columns.
    pub width: u32,
    /// How much of each pixel is ink, 255 for all of it, row by row.
    pub coverage: Vec<u8>,
}

impl Font {
    fn raster(self) -> RasterHeight {
        match self {
            Font::Small => RasterHeight::Size16,
            Font::Large => RasterHeight::Size24,
        }
    }

    /// Width of a character in pixels.
    pub fn character_width(self) -> u32 {
        get_raster_width(FontWeight::Regular, self.raster()) as u32
    }

    /// Distance from one line to the next in pixels.
    pub fn line_height(self) -> u32 {
        self.raster().val() as u32
    }

    /// Width of a line in pixels.
    pub fn width(self, line: &str) -> u32 {
        line.chars().count() as u32 * self.character_width()
    }

    /// A line's ink; characters that the font lacks are question marks.
    pub fn mask(self, line: &str) -> TextMask {
        let glyph = |character| get_raster(character, FontWeight::Regular, self.raster());
        let glyphs = line.chars().filter_map(|character| glyph(character).or_else(|| glyph('?')));
        let glyphs: Vec<_> = glyphs.collect();
        let rows = 0..self.line_height() as usize;
        let row = |y| glyphs.iter().filter_map(move |glyph| glyph.rows().nth(y)).flatten();
        let coverage = rows.flat_map(row);
        TextMask { width: self.width(line), coverage: coverage.copied().collect() }
    }

    /// Draws one line with its upper left corner at the given place; what lies
    /// outside is cut off.
    pub(super) fn draw(self, picture: &mut Picture, line: &str, left: u32, top: u32, ink: [u8; 3]) {
        let TextMask { width, coverage } = self.mask(line);
        // Of no character there is nothing.
        for (y, row) in (top..).zip(coverage.chunks_exact(width.max(1) as usize)) {
            for (x, &coverage) in (left..).zip(row) {
                picture.blend(x, y, ink, coverage);
            }
        }
    }
}

/// Breaks a text into at most `max_lines` lines of at most `columns` characters.
///
/// Lines break at spaces and after `_`, `-` and `/`; a longer word is cut. If it
/// does not fit, the last line ends with an ellipsis.
pub(super) fn wrap(text: &str, columns: usize, max_lines: usize) -> Vec<String> {
    let columns = columns.max(ELLIPSIS.len() + 1);
    let length = |line: &str| line.chars().count();
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let mut glue = " ";
        for part in word.split_inclusive(['_', '-', '/']).flat_map(|part| pieces(part, columns)) {
            match lines.last_mut() {
                Some(line) if length(line) + glue.len() + length(part) <= columns => {
                    line.push_str(glue);
                    line.push_str(part);
                }
                _ => lines.push(part.to_owned()),
            }
            glue = "";
        }
    }
    if lines.len() > max_lines {
        lines.truncate(max_lines);
        if let Some(line) = lines.last_mut() {
            let kept: String = line.chars().take(columns - ELLIPSIS.len()).collect();
            *line = kept.trim_end().to_owned() + ELLIPSIS;
        }
    }
    lines
}

/// Cuts a word into pieces of at most `columns` characters.
fn pieces(word: &str, columns: usize) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let cut = rest.char_indices().nth(columns).map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at(cut);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_after_joining_marks() {
        assert_eq!(wrap("African elephant", 16, 3), ["African elephant"]);
        assert_eq!(wrap("African elephant", 15, 3), ["African", "elephant"]);
        assert_eq!(wrap("excitation_backprop", 17, 2), ["excitation_", "backprop"]);
        assert_eq!(wrap("jack-o'-lantern", 9, 3), ["jack-o'-", "lantern"]);
        assert_eq!(wrap("  ", 9, 3), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_fit_ends_with_an_ellipsis() {
        assert_eq!(wrap("abcdefghij", 4, 9), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("one two three four", 7, 2), ["one two", "thre..."]);
        assert_eq!(wrap("ab cdefg", 5, 1), ["ab..."]);
        assert_eq!(wrap("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", 4, 1), ["\u{e9}..."]);
    }

    #[test]
    fn a_mask_has_the_ink_of_all_characters_side_by_side() {
        let [both, one, other] = ["Hi", "H", "i"].map(|line| Font::Small.mask(line));
        assert_eq!(both.width, one.width + other.width);
        assert_eq!(both.coverage.len() as u32, both.width * Font::Small.line_height());
        let columns = one.width as usize;
        for (y, row) in both.coverage.chunks_exact(2 * columns).enumerate() {
            assert_eq!(row[..columns], one.coverage[y * columns..][..columns]);
            assert_eq!(row[columns..], other.coverage[y * columns..][..columns]);
        }
        assert_eq!(Font::Large.mask(""), TextMask { width: 0, coverage: Vec::new() });
    }

    #[test]
    fn drawing_stays_in_its_box_and_in_the_picture() {
        let mut picture = Picture::filled(40, 40, [255; 3]);
        Font::Large.draw(&mut picture, "H\u{4e2d}", 4, 6, [0; 3]);
        let box_width = 2 * Font::Large.character_width();
        let inked = |x: u32, y: u32| picture.pixel(x, y) != Some([255; 3]);
        let all = (0..40).flat_map(|y| (0..40).map(move |x| (x, y)));
        let (inside, outside): (Vec<_>, Vec<_>) = all.partition(|&(x, y)| {
            (4..4 + box_width).contains(&x) && (6..6 + Font::Large.line_height()).contains(&y)
        });
        assert!(inside.iter().filter(|&&(x, y)| inked(x, y)).count() > 40);
        assert!(!outside.iter().any(|&(x, y)| inked(x, y)));
        let mut small = Picture::filled(5, 5, [255; 3]);
        Font::Small.draw(&mut small, "HHHH", 2, 2, [0; 3]);
        Font::Small.draw(&mut small, "H", 99, 99, [0; 3]);
    }
}
