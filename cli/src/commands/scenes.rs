//! `clrp scenes`: pictures of handwritten digits, with a box for each.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use clrp::file::AtomicFile;
use clrp::image::{Npy, NpyValues, Picture};
use clrp::scene::{Scene, Split};
use rayon::prelude::*;

use crate::console::progress;
use crate::datasets::{Digits, SplitName};
use crate::failure::{Failure, Result};
use crate::folder::OutputFolder;
use crate::options::positive;

const EXAMPLES: &str = "\
Examples:
  clrp scenes --split test --digits 2 --count 10 -o scenes
  clrp scenes --split train --digits 1-3 --count 60000 --npy train.npy --labels train.csv

Files:
  --npy          uint8 (N, 64, 64, 3)
  --labels       a line for each digit: index,digit,left,top,right,bottom (right and bottom are
                 one past the last pixel)
  -o DIR         scene-00000.png, scene-00001.png, ..., and the labels as boxes.csv
With --digits A-B, scene i has A + i mod (B-A+1) digits.";

/// Scenes that are drawn at once: some memory, and work for all cores.
const PART: u64 = 256;

/// Arguments of `clrp scenes`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("to").required(true).args(["npy", "output"]))]
pub(crate) struct Scenes {
    /// Which handwritten digits: those the bundled network was trained on, or the others
    #[arg(long, value_name = "SPLIT")]
    split: SplitName,

    /// Digits in a scene, 1 to 3: N, or A-B
    #[arg(long, value_name = "A-B")]
    digits: Digits,

    /// How many scenes
    #[arg(long, value_name = "N", value_parser = positive::<u64>)]
    count: u64,

    /// Another seed, other scenes
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Write all pictures to one array
    #[arg(long, value_name = "FILE", requires = "labels")]
    npy: Option<PathBuf>,

    /// Write the boxes to this file
    #[arg(long, value_name = "FILE", requires = "npy")]
    labels: Option<PathBuf>,

    /// Write pictures and boxes to this folder
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Scenes {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        match (&self.npy, &self.labels, &self.output) {
            (Some(npy), Some(labels), _) => self.write_array(npy, labels),
            (_, _, Some(folder)) => self.write_pictures(folder),
            // The arguments' group forbids it.
            (_, _, None) => Ok(()),
        }
    }

    fn write_array(&self, npy: &Path, labels: &Path) -> Result<()> {
        if same_file(npy, labels) {
            let npy = npy.display();
            return Err(Failure::Said(format!("`{npy}` is given both for --npy and --labels")));
        }
        let mut array = AtomicFile::create(npy)?;
        let mut table = AtomicFile::create(labels)?;
        let side = Scene::render(Split::Train, 1, 0, 0).side as usize;
        array.write(&header(self.count, side)?)?;
        table.write(LABELS_HEADER)?;
        self.each(
            |index, scene, _| {
                array.write(&scene.pixels)?;
                Ok(table.write(&rows(index, scene))?)
            },
            |_| (),
        )?;
        array.commit()?;
        Ok(table.commit()?)
    }

    fn write_pictures(&self, folder: &Path) -> Result<()> {
        let mut folder = OutputFolder::open(folder)?;
        let mut table = LABELS_HEADER.to_vec();
        let png = |scene: &Scene| {
            let picture = Picture::new(scene.side, scene.side, scene.pixels.clone());
            picture.map(|picture| picture.encode_png())
        };
        self.each(
            |index, scene, png| {
                let name = format!("scene-{index:05}.png");
                folder.write(&name, &png?)?;
                table.extend(rows(index, scene));
                Ok(())
            },
            png,
        )?;
        folder.write("boxes.csv", &table)?;
        folder.commit()
    }

    /// Draws the scenes and gives them to `write`, in order, with what `prepare` made of them on
    /// any core.
    fn each<T: Send>(
        &self,
        mut write: impl FnMut(u64, &Scene, T) -> Result<()>,
        prepare: impl Fn(&Scene) -> T + Sync,
    ) -> Result<()> {
        let split = Split::from(self.split);
        let bar = progress(usize::try_from(self.count).unwrap_or(usize::MAX));
        for first in (0..self.count).step_by(PART as usize) {
            let part: Vec<(u64, Scene, T)> = (first..self.count.min(first + PART))
                .into_par_iter()
                .map(|index| {
                    let scene = Scene::render(split, self.digits.of(index), self.seed, index);
                    let prepared = prepare(&scene);
                    (index, scene, prepared)
                })
                .collect();
            bar.inc(part.len() as u64);
            for (index, scene, prepared) in part {
                write(index, &scene, prepared)?;
            }
        }
        bar.finish_and_clear();
        Ok(())
    }
}

const LABELS_HEADER: &[u8] = b"index,digit,left,top,right,bottom\n";

/// A line for each digit.
fn rows(index: u64, scene: &Scene) -> Vec<u8> {
    let mut rows = Vec::new();
    for digit in &scene.digits {
        let (class, b) = (digit.class, digit.bounds);
        // Writing to a vector does not fail.
        let _ = writeln!(rows, "{index},{class},{},{},{},{}", b.left, b.top, b.right, b.bottom);
    }
    rows
}

/// What an array of that many pictures starts with: that of none, with the number put in. Numpy
/// pads the header with blanks, so there is room.
fn header(count: u64, side: usize) -> Result<Vec<u8>> {
    let none = Npy::new(vec![0, side, side, 3], NpyValues::U8(Vec::new()))?.encode();
    let text = String::from_utf8_lossy(&none[10..]).replacen("(0,", &format!("({count},"), 1);
    let mut text = text.trim_end().to_owned();
    text += &" ".repeat(none.len() - 11 - text.len());
    Ok([&none[..10], text.as_bytes(), b"\n"].concat())
}

/// Whether two paths name one file, which need not be there yet.
fn same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).ok();
    real(one).is_some_and(|path| real(other) == Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_that_of_the_whole_array() {
        for count in [0, 1, 12] {
            let values = NpyValues::U8(vec![0; count * 12]);
            let whole = Npy::new(vec![count, 2, 2, 3], values).expect("it fits").encode();
            let start = whole.len() - count * 12;
            assert_eq!(header(count as u64, 2).expect("it fits"), whole[..start]);
        }
        assert_eq!(header(u64::MAX, 2).expect("it fits").len() % 64, 0);
    }
}
