//! Results that stay on the GPU, for an app that draws them or goes on computing.

use super::device::Device;
use super::{COPIED_STORAGE, bytes};
use crate::error::{Error, Result};

/// What is kept of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Which of the program's outputs.
    pub(crate) output: usize,
    /// Where its part begins, in numbers.
    pub(crate) first: usize,
    /// What becomes of it.
    pub(crate) form: Form,
}

/// The form in which an output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// So many numbers.
    Buffer(usize),
    /// Rows that begin `stride` numbers apart, which is a multiple of 64.
    Texture {
        /// Rows.
        height: usize,
        /// Numbers of a row.
        width: usize,
        /// Numbers from one row to the next.
        stride: usize,
    },
}

/// A part of an output that stayed.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    /// As a buffer.
    Buffer(wgpu::Buffer),
    /// As a texture.
    Texture(wgpu::Texture),
}

/// A map that stayed on the GPU. Both forms are the caller's: no later run changes them.
#[derive(Clone, Debug)]
pub struct KeptMap {
    map: wgpu::Buffer,
    heatmap: wgpu::Texture,
}

impl KeptMap {
    pub(crate) fn new(map: Kept, heatmap: Kept) -> Option<Self> {
        match (map, heatmap) {
            (Kept::Buffer(map), Kept::Texture(heatmap)) => Some(Self { map, heatmap }),
            (Kept::Buffer(_) | Kept::Texture(_), _) => None,
        }
    }

    /// The numbers of the map, `f32`, as planes: channel, row, column. To be read by shaders
    /// (`STORAGE`) and copied from (`COPY_SRC`).
    pub fn map(&self) -> &wgpu::Buffer {
        &self.map
    }

    /// One number between -1 and 1 for each pixel of a finite map: its channels joined as its method's
    /// are, divided by the largest magnitude. `R32Float`, which shaders read by `textureLoad`.
    pub fn heatmap(&self) -> &wgpu::Texture {
        &self.heatmap
    }
}

/// Where kept outputs go.
pub(super) fn room(device: &Device, keep: &[Keep]) -> Result<Vec<Kept>> {
    keep.iter()
        .map(|keep| match keep.form {
            Form::Buffer(len) => {
                let what = || "a map that is kept".to_owned();
                Ok(Kept::Buffer(device.buffer(bytes(len), COPIED_STORAGE, what)?))
            }
            Form::Texture { height, width, .. } => texture(device, height, width),
        })
        .collect()
}

fn texture(device: &Device, height: usize, width: usize) -> Result<Kept> {
    let most = device.limits.max_texture_dimension_2d as usize;
    if height > most || width > most {
        let what = format!("a heatmap texture of {width}x{height} on `{}`", device.info.name);
        let why = format!("the device allows {most} along a dimension");
        return Err(Error::Unsupported { what, why });
    }
    let size =
        wgpu::Extent3d { width: width as u32, height: height as u32, depth_or_array_layers: 1 };
    let texture = device.attempt(|| {
        device.handle.create_texture(&wgpu::TextureDescriptor {
            label: Some("clrp heatmap"),
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::R32Float,
            usage: wgpu::TextureUsages::TEXTURE_BINDING
                .union(wgpu::TextureUsages::COPY_SRC)
                .union(wgpu::TextureUsages::COPY_DST),
            view_formats: &[],
        })
    })?;
    Ok(Kept::Texture(texture))
}

/// Copies a part of an output to where it is kept.
pub(super) fn copy(
    encoder: &mut wgpu::CommandEncoder,
    output: &wgpu::Buffer,
    keep: &Keep,
    kept: &Kept,
) {
    let offset = keep.first as u64 * 4;
    match (keep.form, kept) {
        (Form::Buffer(len), Kept::Buffer(buffer)) => {
            encoder.copy_buffer_to_buffer(output, offset, buffer, 0, len as u64 * 4);
        }
        (Form::Texture { height, stride, .. }, Kept::Texture(texture)) => {
            let layout = wgpu::TexelCopyBufferLayout {
                offset,
                bytes_per_row: Some(stride as u32 * 4),
                rows_per_image: Some(height as u32),
            };
            let source = wgpu::TexelCopyBufferInfo { buffer: output, layout };
            encoder.copy_buffer_to_texture(source, texture.as_image_copy(), texture.size());
        }
        (Form::Buffer(_) | Form::Texture { .. }, _) => unreachable!("the room is of that form"),
    }
}
