//! Foreign files for clrp: PyTorch checkpoints, ONNX, downloads.

pub mod convert;
pub mod fetch;
pub mod pth;
