//! Neurons inside the network: what the strongest channels of a layer look for, and where the
//! relevance of a class sits in that layer (Gu et al. 2018, section 5.3).
//!
//! `cargo run --release -p clrp --example neuron`

#![expect(clippy::print_stdout, reason = "it shows what it finds")]

use clrp::image::Picture;
use clrp::models::Model;
use clrp::scene::{Scene, Split};
use clrp::{Explainer, Goal, Method, Request, Target};

pub(crate) fn main() -> clrp::Result<()> {
    let model = Model::find("digits")?;
    let weights = model.bundled().expect("the digits network is bundled")?;
    let network = model.network(model.input_shape(), weights)?;
    for node in network.graph().nodes() {
        println!("{} {}", node.name, node.shape);
    }
    let explainer = Explainer::builder(network, model.preprocess()).build()?;
    let scene = Scene::render(Split::Test, 2, 1, 0);
    let picture = Picture::new(scene.side, scene.side, scene.pixels)?;

    // One neuron, a whole channel, and the three strongest neurons of a layer.
    let some = Target::goals([Goal::Neuron { channel: 5, row: 3, column: 4 }, Goal::Channel(5)]);
    for target in [some.at("features.3"), Target::top(3).at("features.3")] {
        let explained = explainer.explain(&picture, [Method::Lrp, Method::Clrp2], target)?;
        for explanation in &explained.explanations {
            let (method, goal) = (explanation.method, &explanation.goal);
            println!("{method} of {goal}: value {}, sum {}", explanation.score, explanation.sum);
        }
    }

    // Where a class' relevance is on its way, and what was lost.
    let request = Request::new(Method::Lrp, Target::top(1)).layers(["features.3"]).ledger(true);
    let explained = explainer.explain_all(&[picture], &request)?;
    let explanation = &explained[0].explanations[0];
    let layer = &explanation.layers[0];
    println!("{}: {} numbers", layer.layer, layer.map.values().len());
    for row in &explanation.ledger.as_ref().expect("it was asked for").rows {
        println!("{}: {} in, {} out", row.layer, row.got, row.sent);
    }
    Ok(())
}
