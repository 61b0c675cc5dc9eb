//! Published checkpoints, where the folder `../shared/data` beside the project has them.

use std::io::Write;
use std::path::{Path, PathBuf};

use clrp_weights::pth;

/// The file, or a printed line that the test is left out.
fn weights(name: &str, test: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/weights");
    let path = folder.join(name);
    if path.is_file() {
        return Some(path);
    }
    let missing = path.display();
    writeln!(std::io::stderr(), "{test} is left out: {missing} is missing").expect("it is open");
    None
}

/// A checkpoint, and what torch 2 finds in it in float64.
struct Published {
    file: &'static str,
    tensors: usize,
    numbers: usize,
    sum: f64,
    of_magnitudes: f64,
    /// The last bias.
    bias: f32,
}

#[test]
fn cifar_10_networks_of_2018_are_read() {
    const TEST: &str = "cifar_10_networks_of_2018_are_read";
    for published in [
        Published {
            file: "resnet20-12fca82f.th",
            tensors: 97,
            numbers: 271_098,
            sum: 139.782_649_559_820_8,
            of_magnitudes: 21_349.562_590_950_623,
            bias: -0.270_259_4,
        },
        Published {
            file: "resnet56-4bfd9763.th",
            tensors: 277,
            numbers: 857_082,
            sum: 1_427.879_011_697_099,
            of_magnitudes: 41_377.086_271_385_946,
            bias: -0.272_111_86,
        },
    ] {
        let Some(path) = weights(published.file, TEST) else { return };
        let found = pth::read(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(found.shape("conv1.weight"), Some(&[16, 3, 3, 3][..]));
        assert_eq!(found.shape("linear.weight"), Some(&[10, 64][..]));
        assert_eq!(found.iter().count(), published.tensors);
        let all: Vec<f64> = found
            .iter()
            .flat_map(|weight| (0..weight.len()).map(|i| weight.values().get::<f64>(i)))
            .collect();
        assert_eq!(all.len(), published.numbers);
        // Sums of a million float64 in another order.
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(close(all.iter().sum(), published.sum));
        assert!(close(all.iter().map(|x| x.abs()).sum(), published.of_magnitudes));
        let bias = found.iter().find(|weight| weight.name() == "linear.bias").expect("it is there");
        assert_eq!(bias.values().get::<f32>(9), published.bias);
    }
}
