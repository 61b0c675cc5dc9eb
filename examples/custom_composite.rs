//! Rules of one's own: by kind of layer, by name, or on top of a preset.
//!
//! `cargo run --release -p clrp --example custom_composite`

#![expect(clippy::print_stdout, reason = "it shows what it finds")]

use clrp::image::Picture;
use clrp::models::Model;
use clrp::rules::{Composite, LayerKind, Rule, Selector, preset};
use clrp::scene::{Scene, Split};
use clrp::{Explainer, Method, Target};

pub(crate) fn main() -> clrp::Result<()> {
    let own = Composite::new("mine")
        .first(LayerKind::Conv2d, Rule::ZBox)
        .name("features.3", Rule::AlphaBeta { alpha: 2.0, beta: 1.0 })
        .each(LayerKind::Conv2d, Rule::Gamma { gamma: 0.25 })
        .each(LayerKind::Linear, Rule::Epsilon { epsilon: 1e-6 });
    // A preset but for one kind of layer; text works as on the command line.
    let rule = (Selector::from("linear"), "gamma:0.1".parse()?);
    let changed = preset("epsilon_plus_flat")?.with_rules([rule]);

    let model = Model::find("digits")?;
    let scene = Scene::render(Split::Test, 2, 1, 0);
    let picture = Picture::new(scene.side, scene.side, scene.pixels)?;
    for composite in [own, changed] {
        let weights = model.bundled().expect("the digits network is bundled")?;
        let network = model.network(model.input_shape(), weights)?;
        let explainer =
            Explainer::builder(network, model.preprocess()).composite(composite).build()?;
        let explained = explainer.explain(&picture, Method::Lrp, Target::top(1))?;
        let explanation = &explained.explanations[0];
        let leak = explanation.leak.unwrap_or_default();
        println!("{}: sum {}, leak {leak}", explainer.composite().label(), explanation.sum);
    }
    Ok(())
}
