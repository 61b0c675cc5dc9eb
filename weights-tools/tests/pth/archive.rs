//! ZIP checkpoints made by hand.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A ZIP archive of stored entries.
pub(crate) fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in entries {
        writer.start_file(*name, stored).expect("it is in memory");
        writer.write_all(content).expect("it is in memory");
    }
    writer.finish().expect("it is in memory").into_inner()
}

/// A checkpoint whose pickle is this text, each character a byte, with one storage of 24 bytes.
pub(crate) fn checkpoint(pickle: &str) -> Vec<u8> {
    let numbers: Vec<u8> = (0..6_u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    zip_of(&[("x/data.pkl", &latin(pickle)), ("x/byteorder", b"little"), ("x/data/0", &numbers)])
}

/// Bytes of a text in Latin-1.
pub(crate) fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).expect("Latin-1")).collect()
}

/// Opcodes for a tensor of the storage; sizes and strides are opcodes for tuples.
pub(crate) fn tensor(offset: &str, sizes: &str, strides: &str) -> String {
    let storage = "(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x06tQ";
    format!("ctorch._utils\n_rebuild_tensor\n({storage}{offset}{sizes}{strides}tR")
}

/// Opcodes for a dict with these opcodes under the name `w`.
pub(crate) fn state(value: &str) -> String {
    format!("}}U\x01w{value}s")
}
