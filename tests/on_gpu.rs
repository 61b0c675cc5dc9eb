//! Maps that stay on the GPU are those that are read from it, on a device that the app has opened.

use std::sync::{Arc, Mutex};

use clrp::image::{Mode, Picture, Preprocess};
use clrp::models::Model;
use clrp::scene::{Scene, Split};
use clrp::{Cancel, Error, Explainer, Goal, Method, Request, Target, wgpu};

use crate::support::{SAME_F32, backends};

/// A device with the limits of its adapter, where the tests have a GPU.
fn device() -> Option<(wgpu::Device, wgpu::Queue)> {
    if backends().len() < 3 {
        return None;
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let opened = pollster::block_on(async {
        let adapter = instance.request_adapter(&Default::default()).await.expect("an adapter");
        let descriptor =
            wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
        adapter.request_device(&descriptor).await.expect("a device")
    });
    Some(opened)
}

fn explainer() -> clrp::ExplainerBuilder {
    let model = Model::find("digits").expect("a known network");
    let weights = model.bundled().expect("they are bundled").expect("they are right");
    // A width that is no multiple of what rows of textures are copied by.
    let size = (64, 72);
    let shape = clrp::Shape::new(3, 64, 72);
    let network = model.network(shape, weights).expect("the picture fits");
    Explainer::builder(network, Preprocess { mode: Mode::Squash, size, ..model.preprocess() })
}

fn picture() -> Picture {
    let scene = Scene::render(Split::Test, 2, 1, 0);
    Picture::new(scene.side, scene.side, scene.pixels).expect("it is not empty")
}

/// The numbers in a buffer.
fn read(device: &wgpu::Device, queue: &wgpu::Queue, buffer: &wgpu::Buffer) -> Vec<f32> {
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
    let copy = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: buffer.size(),
        usage,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(buffer, 0, &copy, 0, buffer.size());
    queue.submit([encoder.finish()]);
    copy.map_async(wgpu::MapMode::Read, .., |done| done.expect("it can be mapped"));
    device.poll(wgpu::PollType::wait_indefinitely()).expect("it ends");
    let view = copy.get_mapped_range(..).expect("it is mapped");
    view.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// The numbers of a texture, row by row.
fn texels(device: &wgpu::Device, queue: &wgpu::Queue, texture: &wgpu::Texture) -> Vec<f32> {
    assert_eq!(texture.format(), wgpu::TextureFormat::R32Float);
    let stride = (texture.width() * 4).next_multiple_of(256);
    let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(stride * texture.height()),
        usage,
        mapped_at_creation: false,
    });
    let layout = wgpu::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: Some(stride),
        rows_per_image: None,
    };
    let mut encoder = device.create_command_encoder(&Default::default());
    let to = wgpu::TexelCopyBufferInfo { buffer: &buffer, layout };
    encoder.copy_texture_to_buffer(texture.as_image_copy(), to, texture.size());
    queue.submit([encoder.finish()]);
    let values = read(device, queue, &buffer);
    let rows = values.chunks_exact(stride as usize / 4);
    rows.flat_map(|row| row[..texture.width() as usize].to_vec()).collect()
}

#[test]
fn maps_that_stay_are_those_that_are_read() {
    let Some((device, queue)) = device() else { return };
    let explainer = explainer().with_device(device.clone(), queue.clone()).build();
    let explainer = explainer.expect("the rules suit the network");
    let methods = [
        Method::Lrp,
        Method::Clrp1,
        Method::Gradient,
        Method::GradCam,
        Method::GuidedGradCam,
        Method::ContrastiveExcitationBackprop,
    ];
    let mixed = [
        Goal::Class(3),
        Goal::Mixture(vec![(3, 0.5), (8, 0.5)]),
        Goal::Mixture(vec![(1, 0.5), (8, 0.5)]),
    ];
    for target in [
        Target::top(2),
        Target::goals(mixed),
        Target::top(2).at("features.3"),
        Target::random_of_top(3, 8, 0),
    ] {
        let expected = explainer.explain(&picture(), methods, target.clone());
        let expected = expected.expect("it can be explained");
        let kept = explainer.explain_on_gpu(&picture(), &Request::new(methods, target.clone()));
        let kept = kept.expect("it can be explained");
        assert_eq!(kept.scores, expected.scores);
        assert_eq!(kept.explanations.len(), expected.explanations.len());
        for (kept, expected) in kept.explanations.iter().zip(&expected.explanations) {
            let what = format!("{} of {}", expected.method, expected.goal);
            assert_eq!((kept.method, &kept.goal), (expected.method, &expected.goal));
            assert_eq!((kept.score, &kept.layer), (expected.score, &expected.layer), "{what}");
            let map = read(&device, &queue, kept.kept.map());
            assert_eq!(map, expected.map.values(), "{what}");
            let plane = expected.plane().expect("it is not empty");
            let largest = plane.values().iter().fold(0.0_f32, |most, v| most.max(v.abs()));
            assert!(largest > 0.0, "{what}");
            let heatmap = kept.kept.heatmap();
            let size = (heatmap.height() as usize, heatmap.width() as usize);
            assert_eq!(size, (plane.height(), plane.width()), "{what}");
            let drawn = texels(&device, &queue, heatmap);
            for (drawn, value) in drawn.iter().zip(plane.values()) {
                let apart = f64::from((drawn - value / largest).abs());
                assert!(apart <= SAME_F32, "{what}: {drawn} {value}");
            }
        }
    }
}

#[test]
fn maps_that_stay_outlive_later_runs() {
    let Some((device, queue)) = device() else { return };
    let explainer = explainer().with_device(device.clone(), queue.clone()).build();
    let explainer = explainer.expect("the rules suit the network");
    let class = |class| Request::new(Method::Lrp, Target::class(class));
    let first = explainer.explain_on_gpu(&picture(), &class(3));
    let first = first.expect("it can be explained").explanations.remove(0).kept;
    let before = read(&device, &queue, first.map());
    explainer.explain_on_gpu(&picture(), &class(4)).expect("it runs");
    drop(explainer);
    assert_eq!(read(&device, &queue, first.map()), before);
}

#[test]
fn what_cannot_stay_is_told() {
    let on_cpu = explainer().build().expect("the rules suit the network");
    let best = |methods: &[Method]| Request::new(methods, Target::top(1));
    let error = on_cpu.explain_on_gpu(&picture(), &best(&[Method::Lrp])).unwrap_err();
    assert_eq!(error.to_string(), "keeping maps on `cpu` is not supported: it is no GPU");
    let Some((device, queue)) = device() else { return };
    let explainer = explainer().with_device(device, queue).build();
    let explainer = explainer.expect("the rules suit the network");
    for request in [
        best(&[Method::Rise]),
        best(&[Method::Random]),
        best(&[]),
        best(&[Method::Lrp]).ledger(true),
        best(&[Method::Lrp]).layers(["features.3"]),
    ] {
        let error = explainer.explain_on_gpu(&picture(), &request).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }
}

#[test]
fn work_that_stays_is_told_of_and_can_be_cancelled() {
    let Some((device, queue)) = device() else { return };
    let explainer = explainer().with_device(device.clone(), queue.clone()).build();
    let explainer = Arc::new(explainer.expect("the rules suit the network"));
    let told = Arc::new(Mutex::new(Vec::new()));
    let hear = told.clone();
    let request = Request::new(Method::Clrp1, Target::random_of_top(2, 4, 0))
        .progress(move |done| hear.lock().expect("no panic").push(done));
    let pending = explainer.explain_on_gpu_async(picture(), request.clone());
    let kept = pollster::block_on(pending).expect("it runs").explanations.remove(0).kept;
    let told = told.lock().expect("no panic").clone();
    assert!(told.is_sorted() && told.last() == Some(&1.0), "{told:?}");
    let again = explainer.explain_on_gpu(&picture(), &request).expect("it runs");
    let [first, second] = [&kept, &again.explanations[0].kept];
    assert_eq!(read(&device, &queue, first.map()), read(&device, &queue, second.map()));

    let cancel = Cancel::new();
    let ends = cancel.clone();
    let request = Request::new(Method::Clrp1, Target::class(3))
        .progress(move |_| ends.cancel())
        .cancel(&cancel);
    let cancelled = explainer.explain_on_gpu(&picture(), &request);
    assert!(matches!(cancelled, Err(Error::Cancelled)));
}
