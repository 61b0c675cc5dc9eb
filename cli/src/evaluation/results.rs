//! From records to files.

use std::path::Path;

use super::csv::{write_csv, write_neurons};
use super::html::page;
use super::neurons::matrices;
use super::plot::figures;
use super::record::Record;
use super::records::{RecordFile, first_of};
use super::summary::Summary;
use super::text::{markdown, table_text};
use crate::console::print;
use crate::failure::{Failure, Result};
use crate::folder::OutputFolder;
use crate::report::shown;

/// A picture with its maps, for the report.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Example {
    pub(crate) title: String,
    pub(crate) caption: String,
    /// The content of a PNG file.
    pub(crate) png: Vec<u8>,
}

/// Pictures with their maps under one heading.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Examples {
    pub(crate) title: String,
    /// How they were chosen.
    pub(crate) caption: String,
    pub(crate) pictures: Vec<Example>,
}

/// Writes the results of the records in a folder, and prints the tables. `draw` makes the pictures
/// of the report, which is written last: the figures are there before.
pub(crate) fn finish(
    folder: &Path,
    draw: impl FnOnce(&RecordFile) -> Result<Vec<Examples>>,
) -> Result<()> {
    let records = RecordFile::open(folder)?;
    let header = records.header();
    check_measured(&records)?;
    let summary = Summary::of(header, &records)?;
    let mut figures = figures(&summary)?;
    figures.extend(matrices(header, &records)?);
    store(folder, |files| {
        files.write_by("results.csv", |file| match header.experiment.as_str() {
            "neurons" => write_neurons(header, &records, file),
            _ => write_csv(header, &records, file),
        })?;
        files.write("summary.json", &summary.json())?;
        files.write("summary.md", markdown(&summary).as_bytes())?;
        for figure in &figures {
            files.write(&format!("{}.png", figure.name), &figure.plotted.png)?;
            files.write(&format!("{}.svg", figure.name), figure.plotted.svg.as_bytes())?;
        }
        Ok(())
    })?;
    let page = page(&summary, &figures, &draw(&records)?);
    store(folder, |files| files.write("report.html", page.as_bytes()).map(drop))?;
    print(format!("{}\nreport: {}\n", table_text(&summary), shown(&folder.join("report.html"))))
}

/// Puts files into a run's folder once all of them are written; a disk that is full costs no record.
fn store(folder: &Path, write: impl FnOnce(&mut OutputFolder) -> Result<()>) -> Result<()> {
    let stored = OutputFolder::open(folder).and_then(|mut files| {
        write(&mut files)?;
        files.commit()
    });
    stored.map_err(|failure| {
        Failure::Said(format!(
            "{failure}; the records are kept, and the results can be made again from them"
        ))
    })
}

/// That something was measured of some picture.
fn check_measured(records: &RecordFile) -> Result<()> {
    let is_measured = |record: &Record| !record.objects.is_empty() || !record.neurons.is_empty();
    if !first_of(records, 1, is_measured)?.is_empty() {
        return Ok(());
    }
    let lacking = first_of(records, 1, |record| !record.lacking.is_empty())?;
    let why = match lacking.iter().flat_map(|record| &record.lacking).next() {
        Some((_, class)) => format!("the networks lack all classes that it shows, as `{class}`"),
        None => "no picture shows an object".to_owned(),
    };
    Err(Failure::Said(format!("nothing can be measured of the data set: {why}")))
}
