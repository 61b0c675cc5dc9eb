//! Arguments whose known values shells complete and help lists. Whether a value is known is
//! checked later: then the message names the nearest one.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command};

/// Takes any text, and tells the values that make sense.
#[derive(Clone)]
pub(crate) struct Known(pub(crate) fn() -> Vec<&'static str>);

impl Known {
    /// Names of networks.
    pub(crate) const MODELS: Known =
        Known(|| clrp::models::MODELS.iter().map(|model| model.name).collect());
    /// Names of networks with published weights.
    pub(crate) const PUBLISHED: Known =
        Known(|| clrp_weights::fetch::PUBLISHED.iter().map(|published| published.model).collect());
    /// Names of methods.
    pub(crate) const METHODS: Known =
        Known(|| clrp::Method::ALL.into_iter().map(clrp::Method::name).collect());
    /// Names of what is evaluated: methods and a baseline.
    pub(crate) const WAYS: Known = Known(|| {
        let methods = clrp::Method::ALL.into_iter().map(clrp::Method::name);
        methods.chain([crate::evaluation::subject::Way::CENTRE]).collect()
    });
    /// Names of composites.
    pub(crate) const COMPOSITES: Known = Known(|| clrp::rules::PRESETS.to_vec());
    /// Names of palettes.
    pub(crate) const PALETTES: Known =
        Known(|| clrp::image::Colormap::ALL.into_iter().map(|map| map.name()).collect());
    /// Names of devices, apart from those of this machine's GPUs.
    pub(crate) const DEVICES: Known = Known(|| vec!["auto", "cpu", "gpu"]);
}

impl TypedValueParser for Known {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.0)().into_iter().map(PossibleValue::new)))
    }
}
