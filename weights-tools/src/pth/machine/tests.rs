//! Pickles written by hand, by group of opcodes, and pickles that mean harm.

use super::{Allowance, Cursor, Persistent, load};
use crate::pth::error::Result;
use crate::pth::pickle_kind;
use crate::pth::value::{Id, Pickle, TensorRef, Value};

fn pickle(bytes: &[u8]) -> Result<Pickle<'_>> {
    let mut cursor = Cursor::new("file", "pickle", bytes);
    load(&mut cursor, Persistent::Storages, &mut Allowance::of(bytes.len()))
}

/// A value as Python would write it, down to some depth.
fn shown(pickle: &Pickle<'_>, id: Id, depth: usize) -> String {
    let Some(depth) = depth.checked_sub(1) else { return "...".to_owned() };
    let all =
        |ids: &[Id]| ids.iter().map(|&id| shown(pickle, id, depth)).collect::<Vec<_>>().join(", ");
    match pickle.get(id) {
        Value::None => "None".to_owned(),
        Value::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
        Value::Int(value) => value.to_string(),
        Value::Long(bytes) => format!("{} bytes", bytes.len()),
        Value::Text(text) => format!("'{text}'"),
        Value::Tuple(members) => format!("({})", all(members)),
        Value::List(members) => format!("[{}]", all(members)),
        Value::Set => "set".to_owned(),
        Value::Dict(pairs) => {
            let pair = |&(key, value): &(Id, Id)| {
                format!("{}: {}", shown(pickle, key, depth), shown(pickle, value, depth))
            };
            format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        Value::Global(global) => format!("{global:?}"),
        Value::Opaque(kind) => format!("<{kind}>"),
        Value::Storage(storage) => {
            let key = shown(pickle, storage.key, depth);
            format!("storage {key} {} {:?}", storage.element, storage.part)
        }
        Value::Tensor(TensorRef::Listed(key)) => format!("tensor {key}"),
        Value::Tensor(TensorRef::Rebuilt(tensor)) => {
            let sizes = [tensor.shape, tensor.strides].map(|id| shown(pickle, id, depth));
            format!("tensor from {}, {} by {}", tensor.offset, sizes[0], sizes[1])
        }
    }
}

fn reads(bytes: &[u8]) -> String {
    match pickle(bytes) {
        Ok(pickle) => shown(&pickle, pickle.root, 8),
        Err(error) => panic!("`{}`: {error}", bytes.escape_ascii()),
    }
}

fn fails(bytes: &[u8]) -> String {
    pickle(bytes).expect_err("it is malformed").to_string()
}

#[test]
fn numbers_of_all_protocols() {
    for (bytes, expected) in [
        (&b"N."[..], "None"),
        (b"I01\n.", "True"),
        (b"I00\n.", "False"),
        (b"I-12\n.", "-12"),
        (b"I9223372036854775807\n.", "9223372036854775807"),
        (b"I99999999999999999999\n.", "20 bytes"),
        (b"L7L\n.", "7"),
        (b"L-7\n.", "-7"),
        (b"F1.5e3\n.", "<a float>"),
        (b"Fnan\n.", "<a float>"),
        (b"\x88.", "True"),
        (b"\x89.", "False"),
        (b"K\xff.", "255"),
        (b"M\x01\x02.", "513"),
        (b"J\xff\xff\xff\xff.", "-1"),
        (b"\x8a\x00.", "0"),
        (b"\x8a\x02\x00\x80.", "-32768"),
        (b"\x8a\x09123456789.", "9 bytes"),
        (b"\x8b\x01\x00\x00\x00\x05.", "5"),
        (b"G12345678.", "<a float>"),
    ] {
        assert_eq!(reads(bytes), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn texts_of_all_protocols() {
    for (bytes, expected) in [
        (&b"X\x02\x00\x00\x00ab."[..], "'ab'"),
        (b"\x8c\x02\xc3\xa9.", "'\u{e9}'"),
        (b"\x8d\x01\x00\x00\x00\x00\x00\x00\x00a.", "'a'"),
        (b"Va\\u00e9\n.", "'a\u{e9}'"),
        (b"S'a\\'b'\n.", "'a'b'"),
        (b"T\x01\x00\x00\x00a.", "'a'"),
        (b"U\x01a.", "'a'"),
        (b"U\x01\xff.", "<bytes>"),
        (b"B\x01\x00\x00\x00a.", "<bytes>"),
        (b"C\x01a.", "<bytes>"),
        (b"\x8e\x01\x00\x00\x00\x00\x00\x00\x00a.", "<bytes>"),
        (b"\x96\x01\x00\x00\x00\x00\x00\x00\x00a.", "<bytes>"),
    ] {
        assert_eq!(reads(bytes), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn containers_and_the_memo() {
    for (bytes, expected) in [
        (&b")."[..], "()"),
        (b"K\x01\x85.", "(1)"),
        (b"K\x01K\x02\x86.", "(1, 2)"),
        (b"K\x01K\x02K\x03\x87.", "(1, 2, 3)"),
        (b"(K\x01K\x02t.", "(1, 2)"),
        (b"].", "[]"),
        (b"]K\x01a.", "[1]"),
        (b"](K\x01K\x02e.", "[1, 2]"),
        (b"(K\x01l.", "[1]"),
        (b"}.", "{}"),
        (b"}K\x01K\x02s.", "{1: 2}"),
        (b"}(K\x01K\x02K\x03K\x04u.", "{1: 2, 3: 4}"),
        (b"(K\x01K\x02d.", "{1: 2}"),
        (b"\x8f(K\x01\x90.", "set"),
        (b"(K\x01\x91.", "set"),
        (b"]q\x05h\x05a.", "[[[[[[[[...]]]]]]]]"),
        (b"K\x01p3\n0g3\n.", "1"),
        (b"K\x01r\x00\x01\x00\x000j\x00\x01\x00\x00.", "1"),
        (b"K\x01\x94K\x02\x940h\x00\x86.", "(1, 1)"),
        (b"K\x012\x86.", "(1, 1)"),
        (b"K\x01(0.", "1"),
        (b"K\x01(K\x02K\x031.", "1"),
        (b"\x80\x04\x95\x03\x00\x00\x00\x00\x00\x00\x00K\x01.", "1"),
    ] {
        assert_eq!(reads(bytes), expected, "{}", bytes.escape_ascii());
    }
}

const STORAGE: &str = "(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x06tQ";

#[test]
fn classes_that_tensors_need() {
    let ordered = "ccollections\nOrderedDict\n";
    let tensor = format!("ctorch._utils\n_rebuild_tensor\n({STORAGE}K\x01K\x02\u{85}K\x01\u{85}tR");
    let parameter = format!("ctorch._utils\n_rebuild_parameter\n({tensor}I01\n{ordered})RtR");
    let v2 = "ctorch._utils\n_rebuild_tensor_v2\n";
    let numpy = "cnumpy\ndtype\n(U\x02f8K\x00K\x01tRN\u{85}b";
    for (text, expected) in [
        (format!("{ordered})R."), "{}"),
        (format!("{ordered})R}}U\x09_metadata}}sb."), "{}"),
        (format!("{ordered}(](]K\x01aK\x02a]K\x03aK\x04aetR."), "{1: 2, 3: 4}"),
        (format!("{ordered}]](K\x01K\x02ea\u{85}R."), "{1: 2}"),
        (format!("\x28{ordered}o."), "{}"),
        ("(icollections\nOrderedDict\n.".to_owned(), "{}"),
        ("ctorch\nSize\nK\x02K\x03\u{86}\u{85}R.".to_owned(), "(2, 3)"),
        ("ctorch\nfloat32\n.".to_owned(), "Type"),
        ("ctorch.cuda\nHalfStorage\n.".to_owned(), "Storage(F16)"),
        ("c__builtin__\nset\n]\u{85}R.".to_owned(), "set"),
        (
            format!("cnumpy.core.multiarray\nscalar\n{numpy}U\x0812345678\u{86}R."),
            "<a NumPy number>",
        ),
        (format!("{STORAGE}."), "storage '0' F32 (0, 6)"),
        (format!("{tensor}."), "tensor from 1, (2) by (1)"),
        (format!("{v2}({STORAGE}K\x00))I00\n{ordered})RtR."), "tensor from 0, () by ()"),
        (format!("{v2}({STORAGE}K\x00))I00\nNNtR."), "tensor from 0, () by ()"),
        (format!("{v2}({STORAGE}K\x00))I00\nN}}U\x03negI01\nstR."), "fails"),
        (format!("{v2}({STORAGE}K\x00K\x01)I00\nNtR."), "fails"),
        (
            format!("ctorch.nn.parameter\nParameter\n{tensor}\u{85}R(I01\nI00\n}}tb."),
            "tensor from 1, (2) by (1)",
        ),
        (
            format!("ctorch.nn.parameter\nParameter\n{tensor}\u{85}R({tensor}NNI01\nI00\ntb."),
            "fails",
        ),
        (format!("{parameter}."), "tensor from 1, (2) by (1)"),
        ("ctorch\nFloatStorage\n)R.".to_owned(), "fails"),
        ("U\x06modulecollections\nOrderedDict\n\u{86}Q.".to_owned(), "fails"),
    ] {
        // One character is one byte here: the text is Latin-1.
        let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).expect("Latin-1")).collect();
        if expected == "fails" {
            fails(&bytes);
        } else {
            assert_eq!(reads(&bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn protocol_4_names_classes_on_the_stack() {
    let bytes = b"\x80\x04\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93)\x81.";
    assert_eq!(reads(bytes), "{}");
    let bytes = b"\x80\x04\x8c\x0bcollections\x8c\x0bOrderedDict\x93)}\x92.";
    assert_eq!(reads(bytes), "{}");
}

#[test]
fn other_classes_are_refused_by_name() {
    let expected = "`file`: `pickle`: byte 0 asks for `os.system`, expected only tensors, \
                    plain values and their containers; save the state dict alone: \
                    `torch.save(model.state_dict(), FILE)`";
    assert_eq!(fails(b"cos\nsystem\n(S'true'\ntR."), expected);
    assert_eq!(
        fails(b"\x80\x04\x8c\x02os\x8c\x06system\x93)R."),
        expected.replace("byte 0", "byte 14")
    );
    assert_eq!(fails(b"(ios\nsystem\n."), expected.replace("byte 0", "byte 1"));
    for (module, name) in [
        ("torch.storage", "_load_from_bytes"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("copyreg", "_reconstructor"),
        ("torch", "load"),
        ("torch", "Storage"),
        ("torch", "ComplexFloatStorage"),
        ("collections", "OrderedDict.fromkeys"),
        ("torch._utils", "_rebuild_tensor_v3"),
        ("argparse", "Namespace"),
    ] {
        let error = fails(format!("c{module}\n{name}\n.").as_bytes());
        assert!(error.contains(&format!("asks for `{module}.{name}`")), "{error}");
    }
    let layer = fails(b"ctorch.nn.modules.container\nSequential\n.");
    let expected = "`file`: expected a state dict, found a whole model with \
                    `torch.nn.modules.container.Sequential`; load it in Python and save its \
                    weights: `torch.save(model.state_dict(), FILE)`";
    assert_eq!(layer, expected);
    let long = fails(format!("cos\n{}\n.", "x\t".repeat(1000)).as_bytes());
    assert!(long.len() < 400 && !long.contains('\t'), "{long}");
}

#[test]
fn errors_name_the_opcode_and_its_place() {
    for (bytes, expected) in [
        (&b"K\x01R."[..], "REDUCE at byte 2: expected a value before it, found none"),
        (b"NK", "BININT1 at byte 1: expected 1 more bytes, found 0"),
        (b"N)R.", "REDUCE at byte 2: expected a class or function, found None"),
        (
            b"\xfe.",
            "an unknown opcode at byte 0: expected an opcode that checkpoints have, \
                    found 0xfe (an unknown opcode)",
        ),
        (
            b"\x82\x01.",
            "EXT1 at byte 0: expected an opcode that checkpoints have, \
                        found 0x82 (EXT1)",
        ),
        (b"Ix\n.", "INT at byte 0: expected an integer, found `x`"),
        (b"\x80\x06.", "PROTO at byte 0: expected protocol 0 to 5, found 6"),
        (b"h\x07.", "BINGET at byte 0: expected a memo that was put, found 7"),
    ] {
        assert_eq!(fails(bytes), format!("`file`: `pickle`: {expected}"));
    }
}

#[test]
fn malformed_pickles_are_errors() {
    for bytes in [
        &b""[..],
        b".",
        b"N",
        b"t.",
        b"(.",
        b"e.",
        b"]e.",
        b"](K\x01u.",
        b"}(K\x01u.",
        b"}(K\x01d.",
        b"K\x01a.",
        b"K\x01K\x02a.",
        b"K\x01K\x02K\x03s.",
        b"0.",
        b"1.",
        b"2.",
        b"K\x01(2.",
        b"K\x01\x86.",
        b"K\x01(\x85.",
        b"q\x00.",
        b"(q\x00.",
        b"p\n.",
        b"Np-1\n.",
        b"\x94.",
        b"X\xff\xff\xff\xffa.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.",
        b"T\xff\xff\xff\xffa.",
        b"\x8b\xff\xff\xff\xff.",
        b"\x8b\xff\xff\xff\x7f.",
        b"B\xff\xff\xff\xff.",
        b"X\x01\x00\x00\x00\xff.",
        b"\x95\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"\x90.",
        b"](\x90.",
        b"\x91.",
        b"I\n.",
        b"I--1\n.",
        b"L\n.",
        b"F\n.",
        b"Fx\n.",
        b"V\\u12\n.",
        b"Sx\n.",
        b"S'x\n.",
        b"I1",
        b"c\n\n.",
        b"cos",
        b"cos\n",
        b"\x93.",
        b"NN\x93.",
        b"Nb.",
        b"NNb.",
        b"]Nb.",
        b"o.",
        b"(o.",
        b"(No.",
        b"NQ.",
        b")Q.",
        b"P\n.",
        b"ccollections\nOrderedDict\nNR.",
        b"ccollections\nOrderedDict\nN\x85R.",
        b"ccollections\nOrderedDict\n]Na\x85R.",
        b"ccollections\nOrderedDict\n)}NNs\x92.",
        b"(U\x07storageNNNNtQ.",
        b"\x97.",
        b"\x98.",
        b"\x84\x00\x00\x00\x00.",
    ] {
        assert!(!fails(bytes).contains('\n'), "{}", bytes.escape_ascii());
    }
}

#[test]
fn bombs_do_no_harm() {
    const MEMORY: &str = "bytes of memory for each of the file's";
    assert!(size_of::<Value<'_>>() <= 32);
    // Lists in lists, a few thousand deep and a million.
    let deep = |depth: usize| [vec![b']'; depth], vec![b'a'; depth - 1], vec![b'.']].concat();
    assert_eq!(pickle_kind("deep", &deep(3000)).expect("deep is not wrong"), "a list");
    assert!(fails(&deep(1 << 20)).contains(MEMORY));
    let marks = vec![b'('; 1 << 20];
    assert!(fails(&marks).contains("MARK at byte 4096: expected at most 4096 of them open"));
    let wide = [vec![b'('], vec![b'N'; (1 << 20) + 1], vec![b't', b'.']].concat();
    assert!(fails(&wide).contains(MEMORY));

    // A billion laughs: each list holds the one before ten times.
    let laugh = b"(h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00lq\x00";
    let laughs = [&b"]q\x00"[..], &laugh.repeat(1000), b"."].concat();
    assert_eq!(pickle_kind("laughs", &laughs).expect("it is small"), "a list");

    // One list of pairs, made into a dict again and again.
    let pairs = [&b"]("[..], &b"NN\x86".repeat(1000), b"eq\x00"].concat();
    let again = b"ccollections\nOrderedDict\nh\x00\x85R".repeat(1000);
    let copies = [&pairs[..], &again, b"."].concat();
    assert!(fails(&copies).contains(MEMORY));

    // Tuples in tuples, and lists that nobody keeps.
    let tuples = [&b"N"[..], &vec![b'\x85'; 1 << 21], b"."].concat();
    assert!(fails(&tuples).contains(MEMORY));
    assert!(fails(&b"]0".repeat(1 << 20)).contains(MEMORY));
}

#[test]
fn keys_of_storages_are_short() {
    let of_key = |length: u16| {
        let start = b"(U\x07storagectorch\nFloatStorage\nX".to_vec();
        let key = [&u32::from(length).to_le_bytes()[..], &vec![b'0'; length.into()]].concat();
        [start, key, b"U\x03cpuK\x06tQ.".to_vec()].concat()
    };
    assert!(reads(&of_key(256)).starts_with("storage '000"));
    let error = fails(&of_key(257));
    assert!(error.contains("expected a storage's key of at most 256 bytes, found 257"), "{error}");
}
