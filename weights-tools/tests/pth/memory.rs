//! Files that make the most of each byte take memory in proportion to their size.

use clrp_weights::pth;

use crate::PER_BYTE;
use crate::allocation::{allowed, measured};
use crate::archive::{checkpoint, latin, state, tensor, zip_of};

/// Asserts what reading takes; gives what it said.
fn fits(what: &str, bytes: &[u8]) -> Result<(), String> {
    let (result, most) = measured(|| pth::from_bytes("file", bytes).map(|_| ()));
    assert!(most <= allowed(PER_BYTE, bytes.len()), "{what}: {most} bytes for {}", bytes.len());
    result.map_err(|error| error.to_string())
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
        // Sizes on both sides of where rooms are doubled.
        for count in [1000, 4096, 4097, 40_000, 131_072, 131_073, 2_000_000] {
            let bytes = checkpoint(&format!("{start}{}.", repeated.repeat(count)));
            assert!(fits(what, &bytes).is_err());
        }
    }
    let whole = checkpoint(&(state(&rebuilt) + "."));
    assert_eq!(fits("a tensor", &whole), Ok(()));
}

#[test]
fn many_names_for_one_tensor() {
    let ones = format!("({}t", "K\x01".repeat(8));
    let mut pickle = format!("{}q\x000}}", tensor("K\x00", &ones, &ones));
    for i in 0..20_000 {
        pickle.push_str(&format!("U\x04{i:04x}h\x00s"));
    }
    assert!(fits("many names", &checkpoint(&(pickle + "."))).is_err());
}

/// What `torch.save` writes of tensors with a number or none each, in the stream that spends the
/// fewest bytes on them.
#[test]
fn state_dicts_of_tiny_tensors_are_not_refused() {
    const COUNT: usize = 20_000;
    let head = "\u{80}\x02\u{8a}\x0a\u{6c}\u{fc}\u{9c}\u{46}\u{f9}\u{20}\u{6a}\u{a8}\u{50}\u{19}.\
                \u{80}\x02M\u{e9}\x03.\u{80}\x02}U\x0dlittle_endian\u{88}s.";
    let globals = "ctorch._utils\n_rebuild_tensor_v2\nq\x000ctorch\nFloatStorage\nq\x010\
                   ccollections\nOrderedDict\nq\x020U\x07storageq\x030U\x03cpuq\x040";
    let (mut next, mut pickle) = (5_u32, format!("\u{80}\x02{globals}}}("));
    let mut put = |pickle: &mut String| {
        next += 1;
        pickle.push('r');
        pickle.extend(next.to_le_bytes().map(char::from));
    };
    let (mut keys, mut storages) = ("\u{80}\x02](".to_owned(), String::new());
    for i in 0..COUNT {
        pickle.push_str(&format!("X\x0c\0\0\0layer.{i:05}w"));
        put(&mut pickle);
        pickle.push_str(&format!("h\0((h\x03h\x01U\x05{i:05}"));
        put(&mut pickle);
        pickle.push_str("h\x04K\x01Nt");
        put(&mut pickle);
        pickle.push_str("QK\0(K\x01K\x01K\x01K\x01t");
        put(&mut pickle);
        pickle.push_str("(K\x01K\x01K\x01K\x01t");
        put(&mut pickle);
        pickle.push_str("\u{89}h\x02)R");
        put(&mut pickle);
        pickle.push('t');
        put(&mut pickle);
        pickle.push('R');
        put(&mut pickle);
        keys.push_str(&format!("U\x05{i:05}"));
        put(&mut keys);
        storages.push_str("\x01\0\0\0\0\0\0\0\0\0\0\0");
    }
    let file = latin(&format!("{head}{pickle}u.{keys}e.{storages}"));
    assert_eq!(fits("tiny tensors", &file), Ok(()));
}

#[test]
fn many_entries_of_an_archive() {
    let names: Vec<String> = (0..3000).map(|i| format!("x/data/{i}")).collect();
    let mut entries: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b""[..])).collect();
    let pickle = latin("}.");
    entries.push(("x/data.pkl", &pickle));
    assert!(fits("many entries", &zip_of(&entries)).is_err());
}
