//! A picture in, heatmaps out: what speaks for each of the two best classes.
//!
//! `cargo run --release -p clrp --example quick_start -- [FOLDER]`

#![expect(clippy::print_stdout, reason = "it shows what it finds")]

use std::path::{Path, PathBuf};

use clrp::image::{Colormap, Picture, render};
use clrp::models::Model;
use clrp::scene::{Scene, Split};
use clrp::{Explainer, Method, Target};

fn main() -> clrp::Result<()> {
    run(&std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from))
}

/// Writes the pictures into the folder.
pub(crate) fn run(folder: &Path) -> clrp::Result<()> {
    // A network: any name that `clrp models` lists, with its weights. This one is bundled.
    let model = Model::find("digits")?;
    let weights = model.bundled().expect("the digits network is bundled")?;
    let network = model.network(model.input_shape(), weights)?;
    let explainer = Explainer::builder(network, model.preprocess()).build()?;

    // A picture: `Picture::open("photo.jpg")?`. This one is made of two handwritten digits.
    let scene = Scene::render(Split::Test, 2, 1, 0);
    let picture = Picture::new(scene.side, scene.side, scene.pixels)?;
    picture.save_png(folder.join("quick-start.png"))?;

    let explained = explainer.explain(&picture, Method::Clrp1, Target::top(2))?;
    for explanation in &explained.explanations {
        let file = folder.join(format!("quick-start-{}.png", explanation.goal));
        render(&explanation.plane()?, Colormap::Bwr).save_png(&file)?;
        println!("class {}, score {}: {}", explanation.goal, explanation.score, file.display());
    }
    Ok(())
}
