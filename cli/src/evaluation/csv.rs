//! The records as a table: a row for each picture, network, object and method.

use std::io::Write;

use clrp::evaluation::area_under;

use super::measure::Family;
use super::record::{AlikeRecord, Header, MethodRecord, NeuronsRecord, ObjectRecord, Record};
use super::records::Records;
use crate::folder::Unwritten;

impl From<csv::Error> for Unwritten {
    fn from(error: csv::Error) -> Self {
        Self::File(error.into())
    }
}

/// The columns of every table; after them come three for each change of a sanity check.
const COLUMNS: [&str; 27] = [
    "index",
    "name",
    "error",
    "network",
    "class",
    "label",
    "score",
    "probability",
    "is_top",
    "difficult",
    "cut_away",
    "area",
    "method",
    "without_contrast",
    "maximum_x",
    "maximum_y",
    "hit",
    "hit_within_tolerance",
    "hit_by_any_maximum",
    "reach",
    "mass",
    "rank",
    "ablated",
    "drop_logit",
    "drop_probability",
    "deletion_area",
    "insertion_area",
];

/// Where each kind of thing has its columns.
const PICTURE: usize = 3;
const OBJECT: usize = 13;
const METHOD: usize = COLUMNS.len();

/// The area under a curve; nothing where there is none.
fn area(curve: Option<&Vec<f64>>) -> String {
    text(curve.map(|curve| area_under(curve)).filter(|area| area.is_finite()))
}

/// The columns of the table of neurons.
const NEURON_COLUMNS: [&str; 13] = [
    "index",
    "name",
    "error",
    "network",
    "layer",
    "method",
    "neuron",
    "value",
    "patch_x",
    "patch_y",
    "drop",
    "most_by_own_patch",
    "drops_of_all",
];

/// Writes the records of neurons as a CSV file (RFC 4180): a row for each neuron whose patch is
/// taken out.
pub(crate) fn write_neurons(
    header: &Header,
    records: &(impl Records + ?Sized),
    out: impl Write,
) -> Result<(), Unwritten> {
    let mut writer = writer(out);
    writer.write_record(NEURON_COLUMNS)?;
    records.each(|record| {
        let picture = picture_cells(record);
        for of in &record.neurons {
            for i in 0..of.neurons.len() {
                writer.write_record([picture.as_slice(), &neuron_cells(header, of, i)].concat())?;
            }
        }
        match record.neurons.is_empty() {
            true => write_picture(&mut writer, picture, NEURON_COLUMNS.len()),
            false => Ok(()),
        }
    })?;
    Ok(writer.flush()?)
}

fn writer<W: Write>(out: W) -> csv::Writer<W> {
    csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out)
}

fn picture_cells(record: &Record) -> [String; PICTURE] {
    [record.index.to_string(), record.name.clone(), text(record.error.as_ref())]
}

/// The row of a picture of which nothing was measured.
fn write_picture(
    writer: &mut csv::Writer<impl Write>,
    picture: [String; PICTURE],
    columns: usize,
) -> Result<(), Unwritten> {
    let mut row = picture.to_vec();
    row.resize(columns, String::new());
    Ok(writer.write_record(row)?)
}

fn neuron_cells(header: &Header, of: &NeuronsRecord, i: usize) -> [String; 10] {
    let drops = of.drops.get(i);
    let centre = of.centres.get(i);
    let joined = drops.map(|drops| {
        let drops: Vec<String> = drops.iter().map(f64::to_string).collect();
        drops.join(" ")
    });
    [
        text(header.networks.get(of.network).map(|network| &network.name)),
        of.layer.clone(),
        of.method.clone(),
        of.neurons[i].clone(),
        text(of.values.get(i)),
        text(centre.map(|(x, _)| x)),
        text(centre.map(|(_, y)| y)),
        text(drops.and_then(|drops| drops.get(i))),
        text(drops.map(|_| of.is_most_by_own_patch(i))),
        text(joined),
    ]
}

/// Writes the records as a CSV file (RFC 4180); a picture without objects has one row.
pub(crate) fn write_csv(
    header: &Header,
    records: &(impl Records + ?Sized),
    out: impl Write,
) -> Result<(), Unwritten> {
    let families = Family::of(&header.experiment, records)?;
    let changes: Vec<&str> = families.iter().filter_map(change).collect();
    let headings = headings(&changes);
    let mut writer = writer(out);
    writer.write_record(&headings)?;
    records.each(|record| {
        let picture = picture_cells(record);
        for object in &record.objects {
            let object_cells = object_cells(header, object);
            for (name, method) in header.methods.iter().zip(&object.methods) {
                let mut row = [picture.as_slice(), &object_cells].concat();
                row.push(name.clone());
                row.extend(method_cells(method));
                row.extend(changes.iter().flat_map(|change| alike_cells(method, change)));
                writer.write_record(row)?;
            }
        }
        match record.objects.is_empty() {
            true => write_picture(&mut writer, picture, headings.len()),
            false => Ok(()),
        }
    })?;
    Ok(writer.flush()?)
}

fn change(family: &Family) -> Option<&str> {
    match family {
        Family::Alike(change) => Some(change),
        Family::Pointing | Family::Ablation | Family::Curves => None,
    }
}

fn headings(changes: &[&str]) -> Vec<String> {
    let alike =
        |change: &&str| ["spearman", "ssim", "spearman_abs"].map(|n| format!("{n}: {change}"));
    let fixed = COLUMNS.iter().map(|&name| name.to_owned());
    fixed.chain(changes.iter().flat_map(alike)).collect()
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn object_cells(header: &Header, object: &ObjectRecord) -> [String; OBJECT - PICTURE - 1] {
    [
        text(header.networks.get(object.network).map(|network| &network.name)),
        object.class.to_string(),
        object.label.clone(),
        object.score.to_string(),
        object.probability.to_string(),
        object.is_top.to_string(),
        // Without boxes nothing is known of it.
        text(object.area.map(|_| object.difficult)),
        object.cut_away.to_string(),
        text(object.area),
    ]
}

fn method_cells(method: &MethodRecord) -> [String; METHOD - OBJECT] {
    let pointing = method.pointing.as_ref();
    let maximum = pointing.and_then(|pointing| pointing.maximum);
    let ablation = method.ablation.as_ref();
    let curves = method.curves.as_ref();
    let centres = ablation.map(|ablation| {
        let places: Vec<_> = ablation.centres.iter().map(|(x, y)| format!("{x} {y}")).collect();
        places.join(";")
    });
    [
        method.without_contrast.to_string(),
        text(maximum.map(|(x, _)| x)),
        text(maximum.map(|(_, y)| y)),
        text(pointing.map(|p| p.hit)),
        text(pointing.map(|p| p.hit_within_tolerance)),
        text(pointing.map(|p| p.hit_by_any_maximum)),
        text(pointing.map(|p| p.reach)),
        text(pointing.map(|p| p.mass)),
        text(pointing.map(|p| p.rank)),
        text(centres),
        text(ablation.map(|ablation| ablation.drop_logit)),
        text(ablation.map(|ablation| ablation.drop_probability)),
        area(curves.map(|curves| &curves.deletion)),
        area(curves.map(|curves| &curves.insertion)),
    ]
}

fn alike_cells(method: &MethodRecord, change: &str) -> [String; 3] {
    let alike: Option<&AlikeRecord> = method.alike.iter().find(|alike| alike.change == change);
    [
        text(alike.map(|alike| alike.spearman)),
        text(alike.map(|alike| alike.ssim)),
        text(alike.map(|alike| alike.spearman_abs)),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ablation, alike, header, object, picture, pointing};
    use super::*;

    fn written(header: &Header, records: &[Record]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_csv(header, records, &mut bytes).expect("all rows are equally long");
        bytes
    }

    fn read(bytes: &[u8]) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
        let row = |row: csv::Result<csv::StringRecord>| {
            row.expect("all rows are equally long").iter().map(str::to_owned).collect()
        };
        reader.records().map(row).collect()
    }

    #[test]
    fn each_method_of_each_object_has_a_row() {
        let both = object(0, vec![pointing(true, 0.5), ablation(1.5, 0.25)]);
        let mut failed = picture(0, Vec::new());
        failed.error = Some("no \"JPEG\",\nat all".to_owned());
        // In the order of their numbers, whatever that in which they come.
        let records = [picture(2, vec![both.clone(), both]), failed, picture(1, Vec::new())];
        let rows = read(&written(&header(&["lrp", "clrp1"]), &records));
        assert_eq!(rows.len(), 1 + 1 + 1 + 4);
        assert_eq!(rows[0], COLUMNS);
        assert_eq!(rows[1][..4], ["0", "picture 0", "no \"JPEG\",\nat all", ""]);
        assert_eq!(rows[2][..4], ["1", "picture 1", "", ""]);
        let expected = [
            "2",
            "picture 2",
            "",
            "net",
            "0",
            "class 0",
            "2.5",
            "0.75",
            "true",
            "false",
            "0",
            "0.125",
            "lrp",
            "false",
            "3",
            "4",
            "true",
            "true",
            "true",
            "0.5",
            "0.5",
            "0.25",
            "",
            "",
            "",
            "",
            "",
        ];
        assert_eq!(rows[3], expected);
        assert_eq!(
            rows[4][12..],
            ["clrp1", "false", "", "", "", "", "", "", "", "", "3 4;5 6", "1.5", "0.25", "", ""]
        );
    }

    #[test]
    fn quotes_commas_and_lines_are_kept_apart() {
        let mut odd = picture(0, Vec::new());
        odd.name = "a,\"b\"\r\nc".to_owned();
        let bytes = written(&header(&[]), &[odd]);
        let text = String::from_utf8(bytes).expect("names are text");
        let (_, row) = text.split_once("\r\n").expect("there are headings");
        assert!(row.starts_with("0,\"a,\"\"b\"\"\r\nc\",,"), "{row}");
    }

    #[test]
    fn changes_have_columns_of_their_own() {
        let objects = vec![object(0, vec![alike("fc", 0.5)]), object(0, vec![alike("conv", 0.25)])];
        let rows = read(&written(&header(&["lrp"]), &[picture(0, objects)]));
        let names = ["spearman: fc", "ssim: fc", "spearman_abs: fc", "spearman: conv"];
        assert_eq!(rows[0][27..31], names);
        assert_eq!(rows[1][27..], ["0.5", "0.5", "0.5", "", "", ""]);
        assert_eq!(rows[2][27..], ["", "", "", "0.25", "0.25", "0.25"]);
    }

    #[test]
    fn without_records_there_are_headings() {
        assert_eq!(read(&written(&header(&["lrp"]), &[])).len(), 1);
    }
}
