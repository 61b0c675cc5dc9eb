//! Whether accounts of relevance add up.

use clrp::graph::Network;
use clrp::image::Preprocess;
use clrp::rules::{PRESETS, preset};
use clrp::tensor::Tensor;
use clrp::{Explainer, Method, Request, Target};

use super::{Backend, OF_F32_MAPS};

/// Holds the accounts of relevance of all presets: what is missing in them may be `allowed` of the
/// largest relevance of a layer.
pub(crate) fn hold_ledgers(network: &Network, picture: &Tensor, backend: &Backend, allowed: f64) {
    for name in PRESETS {
        let composite = preset(name).expect("a preset");
        let explainer = Explainer::builder(network.clone(), Preprocess::imagenet())
            .composite(composite)
            .device(backend.device.clone())
            .build()
            .expect("presets suit every network");
        let methods = [Method::Lrp, Method::Clrp1, Method::Clrp2];
        let request = Request::new(methods, Target::top(2)).ledger(true);
        let explained = explainer.explain_all(std::slice::from_ref(picture), &request);
        for explanation in &explained.expect("it runs")[0].explanations {
            let ledger = explanation.ledger.as_ref().expect("it was asked for");
            let largest = ledger.rows.iter().map(|row| row.magnitude);
            let scale = largest.fold(f64::from(explanation.score.abs()), f64::max);
            if explanation.method == Method::Lrp {
                let score = f64::from(explanation.score.abs());
                assert!((ledger.start - score).abs() <= OF_F32_MAPS * score, "{name}: {ledger:#?}");
                // The map is what arrived.
                let apart = (ledger.arrived - explanation.sum).abs();
                assert!(
                    apart <= allowed.max(OF_F32_MAPS) * scale,
                    "{name}: {apart:.1e} of {scale:.1e}"
                );
            }
            let missing = ledger.unexplained().abs();
            assert!(
                missing <= allowed * scale,
                "{name}, {} on {}: {missing:.1e} of {scale:.1e} is missing in {ledger:#?}",
                explanation.method,
                backend.name
            );
        }
    }
}
