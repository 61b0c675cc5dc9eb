//! torchvision's published weights. `scripts/check_published.py` holds the table against
//! torchvision.

use super::error::Result;
use super::source::Source;

/// Where torchvision's files lie.
pub const BASE: &str = "https://download.pytorch.org/models/";

/// A weight file that torchvision publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// torchvision's name of the network.
    pub model: &'static str,
    /// The file's name, with the start of its SHA-256 behind the last dash.
    pub file: &'static str,
    /// The file's bytes, to about 500: torchvision states thousandths of a MiB.
    pub size: u64,
}

const fn published(model: &'static str, file: &'static str, size: u64) -> Published {
    Published { model, file, size }
}

/// The `IMAGENET1K_V1` weights of every network: those that take pictures resized to 256 and
/// cropped to 224 pixels (`inception_v3`: 342 and 299).
pub const PUBLISHED: &[Published] = &[
    published("alexnet", "alexnet-owt-7be5be79.pth", 244_409_434),
    published("vgg11", "vgg11-8a719046.pth", 531_460_260),
    published("vgg11_bn", "vgg11_bn-6002323d.pth", 531_503_251),
    published("vgg13", "vgg13-19584684.pth", 532_199_506),
    published("vgg13_bn", "vgg13_bn-abd245e5.pth", 532_246_692),
    published("vgg16", "vgg16-397923af.pth", 553_434_218),
    published("vgg16_bn", "vgg16_bn-6c64b313.pth", 553_507_619),
    published("vgg19", "vgg19-dcbb9e9d.pth", 574_673_125),
    published("vgg19_bn", "vgg19_bn-c79401a0.pth", 574_769_594),
    published("squeezenet1_0", "squeezenet1_0-b66bff10.pth", 5_010_096),
    published("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth", 4_958_716),
    published("googlenet", "googlenet-1378be20.pth", 52_146_733),
    published("inception_v3", "inception_v3_google-0cc3c7bd.pth", 108_950_192),
    published("resnet18", "resnet18-f37072fd.pth", 46_830_453),
    published("resnet34", "resnet34-b627a593.pth", 87_320_166),
    published("resnet50", "resnet50-0676ba61.pth", 102_530_810),
    published("resnet101", "resnet101-63fe2227.pth", 178_793_742),
    published("resnet152", "resnet152-394f9c45.pth", 241_627_562),
    published("resnext50_32x4d", "resnext50_32x4d-7cdf4587.pth", 100_442_046),
    published("resnext101_32x8d", "resnext101_32x8d-8ba56ff5.pth", 356_081_730),
    published("wide_resnet50_2", "wide_resnet50_2-95faca4d.pth", 138_223_288),
    published("wide_resnet101_2", "wide_resnet101_2-32ee1156.pth", 254_694_916),
    published("densenet121", "densenet121-a639ec97.pth", 32_343_327),
    published("densenet161", "densenet161-8d451a50.pth", 115_730_285),
    published("densenet169", "densenet169-b2777c0a.pth", 57_365_496),
    published("densenet201", "densenet201-c1103571.pth", 81_131_471),
    published("mobilenet_v2", "mobilenet_v2-b0353104.pth", 14_213_448),
    published("mnasnet0_5", "mnasnet0.5_top1_67.823-3ffadce67e.pth", 9_008_316),
    published("mnasnet1_0", "mnasnet1.0_top1_73.512-f206786ef8.pth", 17_736_663),
    published("shufflenet_v2_x0_5", "shufflenetv2_x0.5-f707e7126e.pth", 5_538_578),
    published("shufflenet_v2_x1_0", "shufflenetv2_x1-5666bf0f80.pth", 9_218_032),
];

impl Published {
    /// The weights of the network of that name.
    ///
    /// # Errors
    /// [`clrp::Error::UnknownName`] with the nearest names.
    pub fn find(model: &str) -> clrp::Result<&'static Published> {
        let known = || PUBLISHED.iter().map(|published| published.model);
        PUBLISHED
            .iter()
            .find(|published| published.model == model)
            .ok_or_else(|| clrp::Error::unknown("model", model, known()))
    }

    /// Its size in megabytes, to the nearest.
    pub fn megabytes(&self) -> u64 {
        (self.size + 500_000) / 1_000_000
    }

    /// The file below `base`: [`BASE`], or the address of a mirror.
    ///
    /// # Errors
    /// [`Error::Address`](super::Error::Address) if `base` is no address that is trusted.
    pub fn source(&self, base: &str) -> Result<Source> {
        Source::new(base, self.file, Some(self.size))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_model_stands_once_and_its_file_says_its_hash() {
        let names: BTreeSet<&str> = PUBLISHED.iter().map(|published| published.model).collect();
        assert_eq!(names.len(), PUBLISHED.len());
        for published in PUBLISHED {
            let source = published.source(BASE).expect(published.file);
            assert_eq!(source.url(), format!("{BASE}{}", published.file));
            assert!(published.size > 1_000_000, "{}", published.model);
        }
        let mnasnet = Published::find("mnasnet0_5").expect("it is there");
        assert_eq!(mnasnet.source(BASE).expect("it is good").prefix(), "3ffadce67e");
    }

    #[test]
    fn the_library_has_every_published_model_and_knows_its_file() {
        for model in clrp::models::MODELS.iter().filter(|model| model.name != "digits") {
            assert!(Published::find(model.name).is_ok(), "{}", model.name);
        }
        for published in PUBLISHED {
            let model = clrp::models::Model::of_file(published.file).expect(published.file);
            assert_eq!(model.name, published.model);
        }
        let error = Published::find("squeezenet").expect_err("it has two");
        assert!(error.to_string().contains("`squeezenet1_1`"), "{error}");
    }
}
