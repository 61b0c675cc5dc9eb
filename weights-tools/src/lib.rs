//! Foreign files for clrp: PyTorch checkpoints, ONNX, downloads.

pub mod convert;
pub mod fetch;
mod foreign;
pub mod onnx;
pub mod pth;
