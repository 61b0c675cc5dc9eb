//! The winners of max pools as a page, as figure 2 of the supplement of Gu et al. 2018 shows them:
//! a row for each pool, a picture for each of a few channels.

use clrp::image::{Picture, SheetRow};
use clrp::switches::{Edge, EdgeCounts, Switches};

use crate::failure::Result;

/// Channels that are shown of each pool.
const CHANNELS: usize = 4;

/// Planes are enlarged until a side is about as long; cells of large planes take 2 pixels, if
/// their number allows it.
const SIDE: usize = 288;
const LARGE: usize = 512;

/// Where no window along the border reaches.
const INSIDE: [u8; 3] = [255; 3];
/// Where they do.
const BAND: [u8; 3] = [214, 226, 240];
/// The outermost rows and columns of that.
const OUTERMOST: [u8; 3] = [184, 203, 228];
const WINNER: [u8; 3] = [178, 24, 43];

/// A few channels drawn by lot, in order; those of which no window along the border is decided only
/// where there are not enough others.
pub(crate) fn draw_channels(switches: &Switches, seed: u64) -> Vec<usize> {
    let mut channels: Vec<usize> = (0..switches.output().channels).collect();
    // Knuth's linear congruential generator, of which the upper bits are good.
    let mut state = seed;
    for i in (1..channels.len()).rev() {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        channels.swap(i, ((state >> 33) % (i as u64 + 1)) as usize);
    }
    channels.sort_by_cached_key(|channel| {
        Edge::ALL.into_iter().all(|edge| switches.along(edge, *channel).next().is_none())
    });
    channels.truncate(CHANNELS);
    channels.sort_unstable();
    channels
}

/// The row of a pool: the winners of the windows along the border, in each of the channels.
pub(crate) fn row(
    switches: &Switches,
    edges: &[EdgeCounts; 4],
    channels: &[usize],
) -> Result<SheetRow> {
    let list = channels.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let detail = format!("{}: channels {list}", switches.input());
    let pictures = channels.iter().map(|&channel| picture(switches, edges, channel));
    let pictures = pictures.collect::<Result<_>>()?;
    Ok(SheetRow { label: switches.layer().to_owned(), detail, pictures, notes: Vec::new() })
}

fn picture(switches: &Switches, edges: &[EdgeCounts; 4], channel: usize) -> Result<Picture> {
    let (height, width) = (switches.input().height, switches.input().width);
    let [top, bottom, left, right] = edges.each_ref().map(|edge| edge.distances.len());
    let ground = |y: usize, x: usize| {
        let distances = [(y, top), (height - 1 - y, bottom), (x, left), (width - 1 - x, right)];
        if distances.iter().any(|(distance, _)| *distance == 0) {
            OUTERMOST
        } else if distances.iter().any(|(distance, reach)| distance < reach) {
            BAND
        } else {
            INSIDE
        }
    };
    let mut cells: Vec<[u8; 3]> = Vec::with_capacity(height * width);
    cells.extend((0..height).flat_map(|y| (0..width).map(move |x| ground(y, x))));
    for edge in Edge::ALL {
        for [y, x] in switches.along(edge, channel) {
            cells[y * width + x] = WINNER;
        }
    }
    enlarged(&cells, height, width)
}

/// Each cell as a square.
fn enlarged(cells: &[[u8; 3]], height: usize, width: usize) -> Result<Picture> {
    let side = height.max(width);
    let factor = if side > LARGE { 1 } else { SIDE.div_ceil(side).max(2) };
    let mut pixels = Vec::with_capacity(cells.len() * factor * factor * 3);
    for row in cells.chunks_exact(width) {
        let wide: Vec<u8> = row.iter().flat_map(|cell| cell.repeat(factor)).collect();
        (0..factor).for_each(|_| pixels.extend_from_slice(&wide));
    }
    Ok(Picture::new((width * factor) as u32, (height * factor) as u32, pixels)?)
}
