//! Results that stay on the GPU: an app's own device explains, and the maps are buffers and
//! textures that its shaders read.
//!
//! `cargo run --release -p clrp --example on_gpu`

#![expect(clippy::print_stdout, reason = "it shows what it finds")]

use clrp::image::Picture;
use clrp::models::Model;
use clrp::scene::{Scene, Split};
use clrp::{Explainer, Method, Request, Target, wgpu};

/// Any GPU, also one that the CPU poses as, with all that it allows.
async fn open() -> Result<(wgpu::Device, wgpu::Queue), Box<dyn std::error::Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
    let descriptor =
        wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
    Ok(adapter.request_device(&descriptor).await?)
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (device, queue) = pollster::block_on(open())?;

    let model = Model::find("digits")?;
    let weights = model.bundled().expect("the digits network is bundled")?;
    let network = model.network(model.input_shape(), weights)?;
    let explainer =
        Explainer::builder(network, model.preprocess()).with_device(device, queue).build()?;

    let scene = Scene::render(Split::Test, 2, 1, 0);
    let picture = Picture::new(scene.side, scene.side, scene.pixels)?;
    let request = Request::new(Method::Clrp1, Target::top(2));
    let explained = explainer.explain_on_gpu(&picture, &request)?;
    for explanation in &explained.explanations {
        // Bind these to pipelines of the same device; `examples/window` draws such a texture.
        let (map, heatmap) = (explanation.kept.map(), explanation.kept.heatmap());
        println!(
            "class {}, score {}: a buffer of {} bytes, a texture of {}x{}",
            explanation.goal,
            explanation.score,
            map.size(),
            heatmap.width(),
            heatmap.height(),
        );
    }
    Ok(())
}
