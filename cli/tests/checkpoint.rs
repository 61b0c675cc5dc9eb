//! A writer of PyTorch's legacy checkpoints, for what `torch.save` would make of a state dict.

use clrp::graph::Weights;

/// An unsigned integer as a pickle.
fn push_integer(pickle: &mut Vec<u8>, number: usize) {
    pickle.push(b'J');
    pickle.extend(i32::try_from(number).expect("tests are small").to_le_bytes());
}

fn push_text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend(u32::try_from(text.len()).expect("tests are small").to_le_bytes());
    pickle.extend(text.as_bytes());
}

fn push_tuple(pickle: &mut Vec<u8>, numbers: &[usize]) {
    pickle.push(b'(');
    for number in numbers {
        push_integer(pickle, *number);
    }
    pickle.push(b't');
}

/// A pickle of protocol 2.
fn pickle(content: &[u8]) -> Vec<u8> {
    [b"\x80\x02", content, b"."].concat()
}

/// The bytes of a checkpoint in the legacy stream, all weights in f32.
pub(crate) fn legacy(weights: &Weights) -> Vec<u8> {
    let mut dict = b"}(".to_vec();
    let (mut keys, mut storages) = (b"](".to_vec(), Vec::new());
    for (i, weight) in weights.iter().enumerate() {
        let key = i.to_string();
        push_text(&mut dict, weight.name());
        dict.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        push_text(&mut dict, "storage");
        dict.extend(b"ctorch\nFloatStorage\n");
        push_text(&mut dict, &key);
        push_text(&mut dict, "cpu");
        push_integer(&mut dict, weight.len());
        dict.extend(b"NtQ");
        push_integer(&mut dict, 0);
        let shape = weight.shape();
        let strides: Vec<usize> = (1..=shape.len()).map(|d| shape[d..].iter().product()).collect();
        push_tuple(&mut dict, shape);
        push_tuple(&mut dict, &strides);
        dict.extend(b"\x89ccollections\nOrderedDict\n)RtR");
        push_text(&mut keys, &key);
        storages.extend((weight.len() as u64).to_le_bytes());
        for index in 0..weight.len() {
            storages.extend(weight.values().get::<f32>(index).to_le_bytes());
        }
    }
    dict.push(b'u');
    keys.push(b'e');
    let magic = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    let mut system = b"}".to_vec();
    push_text(&mut system, "little_endian");
    system.extend(b"\x88s");
    let pickles = [pickle(magic), pickle(b"M\xe9\x03"), pickle(&system), pickle(&dict)];
    [pickles.concat(), pickle(&keys), storages].concat()
}
