//! A window that draws explanations without their leaving the GPU: it shares its device with the
//! explainer. Space shows the next of the three best classes.
//!
//! `cargo run --release --manifest-path examples/window/Cargo.toml`

use std::sync::Arc;

use clrp::explainer::ExplainedOnGpu;
use clrp::image::Picture;
use clrp::models::Model;
use clrp::scene::{Scene, Split};
use clrp::wgpu::{self, CurrentSurfaceTexture};
use clrp::{Explainer, Method, Request, Target};
use winit::application::ApplicationHandler;
use winit::event::{ElementState, KeyEvent, WindowEvent};
use winit::event_loop::{ActiveEventLoop, EventLoop, OwnedDisplayHandle};
use winit::keyboard::{Key, NamedKey};
use winit::window::{Window, WindowId};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One triangle over the whole window; relevance against the class is blue, for it red.
const SHADER: &str = "
@group(0) @binding(0) var heatmap: texture_2d<f32>;

struct Vertex {
    @builtin(position) position: vec4<f32>,
    @location(0) at: vec2<f32>,
}

@vertex
fn corner(@builtin(vertex_index) i: u32) -> Vertex {
    let at = vec2<f32>(f32(i & 1u), f32(i >> 1u)) * 2.0;
    return Vertex(vec4<f32>(at * vec2<f32>(2.0, -2.0) + vec2<f32>(-1.0, 1.0), 0.0, 1.0), at);
}

@fragment
fn colour(vertex: Vertex) -> @location(0) vec4<f32> {
    let size = vec2<f32>(textureDimensions(heatmap));
    let value = textureLoad(heatmap, vec2<u32>(vertex.at * size), 0).r;
    let fade = 1.0 - abs(value);
    return vec4<f32>(select(fade, 1.0, value > 0.0), fade, select(1.0, fade, value > 0.0), 1.0);
}
";

/// What is drawn, once there is a window.
struct Screen {
    window: Arc<Window>,
    surface: wgpu::Surface<'static>,
    config: wgpu::SurfaceConfiguration,
    device: wgpu::Device,
    queue: wgpu::Queue,
    pipeline: wgpu::RenderPipeline,
    explained: ExplainedOnGpu,
    shown: usize,
}

/// What the network says of a scene of two digits.
fn explain(device: wgpu::Device, queue: wgpu::Queue) -> Result<ExplainedOnGpu> {
    let model = Model::find("digits")?;
    let weights = model.bundled().expect("the digits network is bundled")?;
    let network = model.network(model.input_shape(), weights)?;
    let explainer =
        Explainer::builder(network, model.preprocess()).with_device(device, queue).build()?;
    let scene = Scene::render(Split::Test, 2, 1, 0);
    let picture = Picture::new(scene.side, scene.side, scene.pixels)?;
    Ok(explainer.explain_on_gpu(&picture, &Request::new(Method::Clrp1, Target::top(3)))?)
}

impl Screen {
    async fn new(window: Window, display: OwnedDisplayHandle) -> Result<Self> {
        let window = Arc::new(window);
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_with_display_handle(
            Box::new(display),
        ));
        let surface = instance.create_surface(window.clone())?;
        let options = wgpu::RequestAdapterOptions {
            compatible_surface: Some(&surface),
            ..Default::default()
        };
        let adapter = instance.request_adapter(&options).await?;
        // Networks need more than WebGPU's default limits.
        let descriptor =
            wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
        let (device, queue) = adapter.request_device(&descriptor).await?;
        let size = window.inner_size();
        let config = surface
            .get_default_config(&adapter, size.width.max(1), size.height.max(1))
            .ok_or("the adapter cannot draw on the window")?;
        surface.configure(&device, &config);
        let source = wgpu::ShaderSource::Wgsl(SHADER.into());
        let module =
            device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: None,
            layout: None,
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some("corner"),
                compilation_options: Default::default(),
                buffers: &[],
            },
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some("colour"),
                compilation_options: Default::default(),
                targets: &[Some(config.format.into())],
            }),
            primitive: Default::default(),
            depth_stencil: None,
            multisample: Default::default(),
            multiview_mask: None,
            cache: None,
        });
        let explained = explain(device.clone(), queue.clone())?;
        Ok(Self { window, surface, config, device, queue, pipeline, explained, shown: 0 })
    }

    fn resize(&mut self, width: u32, height: u32) {
        (self.config.width, self.config.height) = (width.max(1), height.max(1));
        self.surface.configure(&self.device, &self.config);
    }

    fn draw(&self) {
        let (CurrentSurfaceTexture::Success(frame) | CurrentSurfaceTexture::Suboptimal(frame)) =
            self.surface.get_current_texture()
        else {
            // The next event brings a new one.
            self.surface.configure(&self.device, &self.config);
            return;
        };
        let explanation = &self.explained.explanations[self.shown];
        self.window.set_title(&format!("class {}: {}", explanation.goal, explanation.score));
        let heatmap = explanation.kept.heatmap().create_view(&Default::default());
        let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &[wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::TextureView(&heatmap),
            }],
        });
        let view = frame.texture.create_view(&Default::default());
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &view,
                depth_slice: None,
                resolve_target: None,
                ops: Default::default(),
            })],
            ..Default::default()
        });
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.draw(0..3, 0..1);
        drop(pass);
        self.queue.submit([encoder.finish()]);
        self.queue.present(frame);
    }
}

/// The event loop's state: no window yet, or one.
struct App(Option<Screen>);

impl ApplicationHandler for App {
    fn resumed(&mut self, events: &ActiveEventLoop) {
        let attributes = Window::default_attributes().with_title("clrp");
        let opened = events.create_window(attributes).map_err(Into::into).and_then(|window| {
            pollster::block_on(Screen::new(window, events.owned_display_handle()))
        });
        match opened {
            Ok(screen) => self.0 = Some(screen),
            Err(error) => {
                eprintln!("{error}");
                events.exit();
            }
        }
    }

    fn window_event(&mut self, events: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        let Some(screen) = &mut self.0 else { return };
        match event {
            WindowEvent::CloseRequested => events.exit(),
            WindowEvent::Resized(size) => screen.resize(size.width, size.height),
            WindowEvent::RedrawRequested => screen.draw(),
            WindowEvent::KeyboardInput {
                event:
                    KeyEvent {
                        logical_key: Key::Named(NamedKey::Space),
                        state: ElementState::Pressed,
                        ..
                    },
                ..
            } => {
                screen.shown = (screen.shown + 1) % screen.explained.explanations.len();
                screen.window.request_redraw();
            }
            _ => {}
        }
    }
}

fn main() -> Result<()> {
    Ok(EventLoop::new()?.run_app(&mut App(None))?)
}
