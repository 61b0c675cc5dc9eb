//! From records to files.

use std::path::Path;

use super::csv::write_csv;
use super::html::{Example, page};
use super::log;
use super::neurons::matrices;
use super::plot::figures;
use super::record::{Header, Record};
use super::summary::Summary;
use super::text::{markdown, table_text};
use crate::console::print;
use crate::failure::Result;
use crate::folder::OutputFolder;
use crate::report::shown;

/// Pictures with their maps: those where a way does best, and worst.
#[derive(Default)]
pub(crate) struct Examples {
    pub(crate) best: Vec<Example>,
    pub(crate) worst: Vec<Example>,
}

/// Writes the results of the records in a folder, and prints the tables. `examples` are made for
/// the report.
pub(crate) fn finish(
    folder: &Path,
    examples: impl FnOnce(&Header, &[Record]) -> Result<Examples>,
) -> Result<()> {
    let (header, records) = log::read(folder)?;
    let summary = Summary::of(&header, &records);
    let mut figures = figures(&summary)?;
    figures.extend(matrices(&header, &records)?);
    let Examples { best, worst } = examples(&header, &records)?;
    let report = page(&summary, &figures, &best, &worst);
    let mut files = OutputFolder::open(folder)?;
    files.write_by("results.csv", |file| write_csv(&header, &records, file))?;
    files.write("summary.json", &summary.json())?;
    files.write("summary.md", markdown(&summary).as_bytes())?;
    for figure in &figures {
        files.write(&format!("{}.png", figure.name), &figure.plotted.png)?;
        files.write(&format!("{}.svg", figure.name), figure.plotted.svg.as_bytes())?;
    }
    files.write("report.html", report.as_bytes())?;
    files.commit()?;
    print(format!("{}\nreport: {}\n", table_text(&summary), shown(&folder.join("report.html"))))
}
