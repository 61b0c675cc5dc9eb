//! Files that are cut short, inconsistent or meant to do harm are errors that say what is wrong.

use clrp_weights::pth;

use crate::allocation::measured;
use crate::archive::{checkpoint, latin, state, tensor, zip_of};
use crate::checkpoints;

fn error(bytes: &[u8]) -> String {
    let error = pth::from_bytes("file", bytes).expect_err("it is malformed").to_string();
    assert!(error.starts_with("`file`") && !error.contains('\n'), "{error}");
    error
}

#[test]
fn a_file_that_ends_early_is_an_error() {
    for (path, bytes) in checkpoints() {
        // A TAR archive ends with zeros that say nothing.
        let end = bytes.iter().rposition(|&byte| byte != 0).expect("it holds something");
        let end = if path.to_string_lossy().contains(".tar.") { end } else { bytes.len() - 1 };
        for length in 0..=end {
            let found = pth::from_bytes("file", &bytes[..length]);
            assert!(found.is_err(), "{} of {length} bytes", path.display());
        }
    }
}

#[test]
fn archives_that_torch_does_not_write() {
    let pickle = latin(&(state(&tensor("K\x00", "K\x06\u{85}", "K\x01\u{85}")) + "."));
    let whole = [0; 24];
    for (bytes, expected) in [
        (
            b"PK\x03\x04".to_vec(),
            "the archive: expected the list of its entries at its end, found none, as if the file \
             was cut short",
        ),
        (b"PK\x03\x04PK\x05\x06".to_vec(), "the archive: expected a sound ZIP archive, found "),
        (
            zip_of(&[("x/data.pkl", b"N."), ("x/code/__torch__.py", b"class M(Module):")]),
            "expected a state dict, found a TorchScript model; load it in Python and save its",
        ),
        (
            zip_of(&[("x/data.pkl", b"N."), ("x/constants.pkl", b")."), ("x/data/0", b"")]),
            "expected a state dict, found a TorchScript model",
        ),
        (zip_of(&[]), "the start: expected a PyTorch checkpoint (ZIP, legacy stream or TAR)"),
        (zip_of(&[("x/y", b"")]), "expected one entry `<name>/data.pkl`, found 0 among 1 entries"),
        (
            zip_of(&[("x/data.pkl", b"N."), ("y/data.pkl", b"N.")]),
            "expected one entry `<name>/data.pkl`, found 2 among 2 entries",
        ),
        (
            zip_of(&[("x/data.pkl", &pickle), ("x/byteorder", b"big"), ("x/data/0", &whole)]),
            "`x/byteorder`: expected `little`, found `big`",
        ),
        (
            zip_of(&[("x/data.pkl", &pickle), ("y/data/0", &whole)]),
            "tensor `w`: expected its storage in the file, found no `0`",
        ),
        (
            zip_of(&[("x/data.pkl", &pickle), ("x/data/0", &whole[..20])]),
            "tensor `w`: expected a storage of 6 F32 numbers, found 20 bytes",
        ),
    ] {
        let error = error(&bytes);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_compressed_entry_is_named() {
    let mut bytes = zip_of(&[("x/data.pkl", b"N.")]);
    // The method stands 8 bytes into the entry's own header, and 10 into the directory's.
    let directory = bytes.windows(4).position(|at| at == b"PK\x01\x02").expect("it has one");
    bytes[8] = 8;
    bytes[directory + 10] = 8;
    let expected = "`file`: entry `x/data.pkl`: expected a stored entry, as torch writes, \
                    found compressed";
    assert_eq!(error(&bytes), expected);
}

#[test]
fn objects_that_are_no_state_dict() {
    let plain = tensor("K\x00", "K\x06\u{85}", "K\x01\u{85}");
    let weights = state(&plain);
    let wrap = |inner: &str| format!("}}U\x05model{inner}s");
    for (pickle, expected) in [
        ("N.".to_owned(), "expected a state dict with tensors, found None"),
        (format!("{plain}."), "expected a state dict with tensors, found a tensor"),
        ("}.".to_owned(), "found an empty dict"),
        ("}U\x05epochK\x03s.".to_owned(), "found a dict of 1 entries: `epoch` (an integer)"),
        (wrap("}") + ".", "found an empty dict in a wrapper"),
        (wrap(&wrap(&wrap(&weights))) + ".", "tensor `model`: expected a tensor, found a dict"),
        (format!("{weights}U\x01a]s."), "tensor `a`: expected a tensor, found a list"),
        (format!("}}K\x01{plain}s."), "expected a text as its name, found an integer"),
        ("cos\nsystem\n(S'true'\ntR.".to_owned(), "`x/data.pkl`: byte 0 asks for `os.system`"),
        (
            format!("{weights}U\x04argscargparse\nNamespace\n)R}}bs."),
            "asks for `argparse.Namespace`",
        ),
    ] {
        let error = error(&checkpoint(&pickle));
        assert!(error.contains(expected), "{error}");
    }
    for pickle in [weights.clone(), wrap(&weights), wrap(&wrap(&weights))] {
        assert!(pth::from_bytes("file", &checkpoint(&(pickle + "."))).is_ok());
    }
}

#[test]
fn tensors_that_do_not_fit() {
    let huge = "\u{8a}\x08\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\x7f";
    let most = format!("{huge}\u{85}");
    let zero = "K\x00\u{85}";
    for (tensor, expected) in [
        (tensor("K\x01", "K\x06\u{85}", "K\x01\u{85}"), "numbers within the 6 of its storage"),
        (tensor(huge, "K\x06\u{85}", "K\x01\u{85}"), "numbers within the 6 of its storage"),
        (tensor("K\x00", "K\x02\u{85}", &most), "numbers within the 6 of its storage"),
        (
            tensor("K\x00", "K\x02\u{85}", "J\u{fe}\u{ff}\u{ff}\u{ff}\u{85}"),
            "tensor `w`: expected strides of 0 or more, found -2",
        ),
        (
            tensor("K\x00", "J\u{ff}\u{ff}\u{ff}\u{ff}\u{85}", "K\x02\u{85}"),
            "tensor `w`: expected sizes of 0 or more, found -1",
        ),
        (tensor("K\x00", "K\x02\u{85}", ")"), "a stride for each size of [2]"),
        (tensor("K\x00", &format!("({}t", "K\x01".repeat(9)), ")"), "at most 8 dimensions"),
        (tensor("K\x00", &most, zero), "at most 10 bytes of memory for each of the file's"),
        (
            tensor("K\x00", &format!("{huge}{huge}\u{86}"), "K\x00K\x00\u{86}"),
            "a shape that can be counted",
        ),
        (
            tensor("J\u{fd}\u{ff}\u{ff}\u{ff}", "K\x06\u{85}", "K\x01\u{85}"),
            "expected an offset of 0 or more, found -3",
        ),
    ] {
        let error = error(&checkpoint(&(state(&tensor) + ".")));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn many_expanded_tensors_share_one_allowance() {
    let file = |count: usize| {
        let name = |i: usize| format!("U\x03{i:03}");
        let one = tensor("K\x00", "M\x00\x08\u{85}", "K\x00\u{85}");
        let entries: String = (0..count).map(|i| format!("{}{one}s", name(i))).collect();
        checkpoint(&format!("}}{entries}."))
    };
    // Each takes 8192 bytes, and some 100 in the file.
    assert!(pth::from_bytes("file", &file(20)).is_ok());
    assert!(error(&file(200)).contains("at most 10 bytes of memory for each of the file's"));
}

#[test]
fn legacy_streams_that_are_inconsistent() {
    let magic = "\u{80}\x02\u{8a}\x0a\u{6c}\u{fc}\u{9c}\u{46}\u{f9}\u{20}\u{6a}\u{a8}\u{50}\u{19}.";
    let protocol = "\u{80}\x02M\u{e9}\x03.";
    let little = "}U\x0dlittle_endian\u{88}s.";
    let object = state(&tensor("K\x00", "K\x06\u{85}", "K\x01\u{85}")) + ".";
    let keys = "]U\x010a.";
    let storage = format!("\x06\0\0\0\0\0\0\0{}", "\0".repeat(24));
    let whole = [magic, protocol, little, &object, keys, &storage].concat();
    assert!(pth::from_bytes("file", &latin(&whole)).is_ok());
    for (part, instead, expected) in [
        (protocol, "\u{80}\x02M\u{ea}\x03.", "expected protocol 1001, found 1002"),
        (little, "}U\x0dlittle_endian\u{89}s.", "expected `little_endian` True"),
        (little, "}.", "expected `little_endian` True"),
        (keys, "N.", "expected a list of storages, found None"),
        (keys, "]U\x011a.", "expected the key of a storage that a tensor has, found 1"),
        (keys, "].", "expected its storage in the file, found no `0`"),
        (&storage, "\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}", "expected a size"),
        (&storage, "\u{ff}\u{ff}\u{ff}\u{ff}\0\0\0\0", "expected 17179869180 more bytes, found 0"),
        (&storage, "\x01\0\0\0\0\0\0\0abcd", "expected a storage of 6 F32 numbers, found 4 bytes"),
    ] {
        let error = error(&latin(&whole.replace(part, instead)));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn huge_counts_take_no_memory() {
    for bytes in [
        &b"X\xff\xff\xff\xff"[..],
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x8b\xff\xff\xff\x7f",
        b"\x96\xff\xff\xff\xff\x00\x00\x00\x00",
    ] {
        let (found, most) = measured(|| pth::pickle_kind("file", bytes));
        assert!(found.is_err());
        assert!(most < 4096, "{most} bytes for {}", bytes.escape_ascii());
    }
}
