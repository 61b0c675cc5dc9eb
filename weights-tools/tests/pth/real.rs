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

#[test]
fn cifar_10_networks_of_2018_are_read() {
    const TEST: &str = "cifar_10_networks_of_2018_are_read";
    // Layers of a network of this depth; each has a convolution and a batch normalisation.
    for (name, layers) in [("resnet20-12fca82f.th", 19), ("resnet56-4bfd9763.th", 55)] {
        let Some(path) = weights(name, TEST) else { return };
        let found = pth::read(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(found.shape("conv1.weight"), Some(&[16, 3, 3, 3][..]));
        assert_eq!(found.shape("linear.weight"), Some(&[10, 64][..]));
        assert_eq!(found.iter().count(), layers * 5 + 2);
        for weight in found.iter() {
            let values = weight.values();
            let mut numbers = (0..weight.len()).map(|i| values.get::<f32>(i));
            assert!(numbers.all(|x| x.is_finite() && x.abs() < 1e3), "{}", weight.name());
        }
        let variance = found.iter().find(|weight| weight.name() == "bn1.running_var");
        let variance = variance.expect("the first layer is normalised").values();
        assert!((0..16).all(|i| variance.get::<f32>(i) > 0.0));
    }
}
