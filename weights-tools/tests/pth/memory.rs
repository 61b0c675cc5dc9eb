//! Files that make the most of each byte take memory in proportion to their size.

use clrp_weights::pth;

use crate::allocation::{allowed, measured};
use crate::archive::{checkpoint, latin, state, tensor, zip_of};

/// Asserts what reading takes; says what it gave.
fn fits(what: &str, bytes: &[u8]) -> bool {
    let (result, most) = measured(|| pth::from_bytes("file", bytes).is_ok());
    assert!(most <= allowed(bytes.len()), "{what}: {most} bytes for {}", bytes.len());
    result
}

#[test]
fn the_densest_pickles() {
    const STORAGE: &str = "(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x06tq\x00Q0";
    let rebuilt = tensor("K\x00", "K\x06\u{85}", "K\x01\u{85}");
    let arguments = "ctorch._utils\n_rebuild_tensor\nq\x010\
        ((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x06tQK\x00K\x06\u{85}K\x01\u{85}tq\x020";
    for (what, start, repeated) in [
        ("lists", "", "]"),
        ("tuples", "N", "\u{85}"),
        ("filled lists", "", "]Na"),
        ("filled dicts", "", "}NNs0"),
        ("memos", "N", "\u{94}"),
        ("texts", "", "U\x00"),
        ("storages", STORAGE, "h\x00Q"),
        ("tensors", arguments, "h\x01h\x02R"),
        ("lists that come and go", "", "(]l0"),
        ("deep marks", "N", "(0"),
    ] {
        // Sizes on both sides of where the room for values is doubled, which starts with 3.
        for count in [1000, 3069, 3070, 40_000, 98_301, 98_302] {
            let bytes = checkpoint(&format!("{start}{}.", repeated.repeat(count)));
            fits(what, &bytes);
        }
    }
    let whole = checkpoint(&(state(&rebuilt) + "."));
    assert!(fits("a tensor", &whole));
}

#[test]
fn many_names_for_one_tensor() {
    let ones = format!("({}t", "K\x01".repeat(8));
    let mut pickle = format!("{}q\x000}}", tensor("K\x00", &ones, &ones));
    for i in 0..20_000 {
        pickle.push_str(&format!("U\x04{i:04x}h\x00s"));
    }
    assert!(fits("many names", &checkpoint(&(pickle + "."))));
}

#[test]
fn many_entries_of_an_archive() {
    let names: Vec<String> = (0..3000).map(|i| format!("x/data/{i}")).collect();
    let mut entries: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b""[..])).collect();
    let pickle = latin("}.");
    entries.push(("x/data.pkl", &pickle));
    assert!(!fits("many entries", &zip_of(&entries)));
}
