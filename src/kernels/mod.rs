//! The arithmetic: each kernel is a WGSL shader and its CPU twin under one name.
//!
//! A kernel's Rust file holds its parameters, how it is launched and the twin; `shaders/` holds
//! the shader. Activations are dense, row-major NHWC: value `(image, y, x, channel)` is number
//! `((image * height + y) * width + x) * channels + channel`; vectors have height and width 1.
//! Signals that flow backward (relevance, gradients) have `repeat` rows for each picture, one a
//! target: row `r` belongs to picture `r / repeat`.
//!
//! The letters of the paper mean the same in every kernel: `a` input of a layer, `w` weight,
//! `b` bias, `z` denominator, `s` ratio `r / z`, `c` what the transpose hands down, `r` relevance.

pub mod add;
pub mod add_shares;
mod ahead;
pub mod attribution;
pub mod avg_pool2d;
pub mod avg_pool2d_backward;
pub mod box_denominators;
pub mod box_relevance;
pub mod channel_affine;
pub mod channel_constant;
pub mod channel_dot;
pub mod clamp;
mod colors;
pub mod conv2d;
pub mod conv2d_cooperative;
pub mod conv2d_quads;
pub mod conv_transpose2d;
pub mod conv_transpose2d_colors;
pub mod conv_transpose2d_cooperative;
pub mod conv_transpose2d_quads;
pub mod copy_channels;
mod cut;
pub mod dot_rows;
mod encoding;
pub mod epilogue;
pub mod follow;
pub mod gate;
pub mod gather;
pub mod heatmap;
pub mod largest;
pub mod leaks;
pub mod linear;
pub mod linear_pair;
pub mod linear_transpose;
pub mod local_response_norm;
pub mod local_response_norm_backward;
pub(crate) mod matmul;
pub mod max_pool2d;
pub mod max_pool2d_backward;
pub mod multiply_add;
pub mod multiply_difference;
pub mod multiply_planes;
pub mod one_hot;
pub mod panels;
pub mod parallel;
mod part;
pub mod permute;
mod room;
pub mod seed;
pub mod softmax;
pub mod stabilized_gate;
pub mod stabilized_ratio;
pub mod sum_rows;
mod sums;
pub mod tally;
pub mod top_k;
pub mod upsample2d;
mod weighted_rows;
mod windows;
pub mod winograd;

pub use encoding::Encoding;
pub use part::Part;

/// How a kernel uses an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Floats that are read.
    Read,
    /// Floats that are written whole; their old content is not looked at.
    Write,
    /// Floats of which some keep their old content or are added to.
    Update,
    /// Weights that are read, in words whose [`Encoding`] is the parameter `stored`.
    ReadWeight,
    /// `u32` that are read.
    ReadIndex,
    /// `u32` that are written whole.
    WriteIndex,
}

impl Access {
    /// Whether the kernel changes the operand.
    pub const fn writes(self) -> bool {
        matches!(self, Access::Write | Access::Update | Access::WriteIndex)
    }
}

/// What the host knows of a kernel besides its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// The stem of the shader, of the Rust module and of the profiler's label.
    pub name: &'static str,
    /// The WGSL text, complete and valid as it lies on disk.
    pub source: &'static str,
    /// The storage operands in binding order, after the uniform `params` at binding 0.
    pub operands: &'static [Access],
    /// Whether further kernels can be done with its sums while these are at hand. Their parameters and
    /// three operands then have bindings after the others.
    pub follows: bool,
    /// Parameters that the shader is told when its pipeline is made, too: constants of their names in
    /// capitals, so that nothing branches where weights are read.
    pub told: &'static [&'static str],
    /// Name and byte offset of each field of the parameters.
    pub fields: &'static [(&'static str, usize)],
}

/// A field of a kernel's parameters: four bytes of the uniform buffer.
pub trait Word: Copy {
    /// The bits.
    fn word(self) -> u32;
}

impl Word for u32 {
    fn word(self) -> u32 {
        self
    }
}

impl Word for f32 {
    fn word(self) -> u32 {
        self.to_bits()
    }
}

/// Declares a kernel's parameters: the struct, the words of its uniform buffer and its field list.
macro_rules! params {
    ($(#[$meta:meta])* pub struct Params { $($(#[$doc:meta])* pub $field:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[repr(C)]
        pub struct Params { $($(#[$doc])* pub $field: $type,)+ }

        impl Params {
            /// Name and byte offset of each field.
            pub const FIELDS: &'static [(&'static str, usize)] =
                &[$((stringify!($field), std::mem::offset_of!(Params, $field)),)+];

            /// The content of the uniform buffer.
            pub fn words(&self) -> Vec<u32> {
                vec![$($crate::kernels::Word::word(self.$field),)+]
            }
        }
    };
}
pub(crate) use params;

/// The fields of parameters that hold those of another kernel, `N - 1` of them, and one more.
pub(crate) const fn and_field<const N: usize>(
    held: &[(&'static str, usize)],
    more: (&'static str, usize),
) -> [(&'static str, usize); N] {
    let mut fields = [more; N];
    let mut i = 0;
    while i < held.len() {
        fields[i] = held[i];
        i += 1;
    }
    fields
}

/// Declares what the host knows of a kernel, with the shader of the given name.
macro_rules! kernel {
    (
        $name:literal, [$($access:ident),+]
        $(, told: [$($told:literal),+])? $(, follows: $follows:literal)?
    ) => {
        /// The shader and its operands.
        pub const KERNEL: $crate::kernels::Kernel = $crate::kernels::Kernel {
            name: $name,
            source: include_str!(concat!("../../shaders/", $name, ".wgsl")),
            operands: &[$($crate::kernels::Access::$access),+],
            follows: false $(|| $follows)?,
            told: &[$($($told),+)?],
            fields: Params::FIELDS,
        };
    };
}
pub(crate) use kernel;

/// Workgroups of [`LANES`] invocations for `count` independent values.
///
/// Past the limit of 65,535 a dimension they go into a second one; the shaders number their
/// invocations as `id.y * groups.x * LANES + id.x`.
pub fn lanes(count: u32) -> [u32; 3] {
    let groups = count.div_ceil(LANES).max(1);
    let x = groups.min(65_535);
    [x, groups.div_ceil(x), 1]
}

/// Invocations of a workgroup in kernels that treat every value alike.
pub const LANES: u32 = 256;

macro_rules! calls {
    ($($(#[$doc:meta])* $variant:ident($module:ident),)+) => {
        /// A kernel with its parameters.
        ///
        /// Backends match on this without a wildcard: a kernel that one of them cannot run does
        /// not compile.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Call { $($(#[$doc])* $variant($module::Params),)+ }

        impl Call {
            /// The shader and its operands.
            pub const fn kernel(&self) -> &'static Kernel {
                match self { $(Call::$variant(_) => &$module::KERNEL,)+ }
            }

            /// The content of the uniform buffer.
            pub fn words(&self) -> Vec<u32> {
                match self { $(Call::$variant(params) => params.words(),)+ }
            }

            /// Whether the shader runs with `EXACT`.
            pub const fn exact(&self) -> bool {
                matches!(self, Call::Conv2d(params) if params.is_exact())
            }

            /// Whether the shader multiplies by cooperative matrices.
            pub const fn cooperates(&self) -> bool {
                matches!(self, Call::Conv2dCooperative(_) | Call::ConvTranspose2dCooperative(_))
            }

            /// How many workgroups run.
            pub fn workgroups(&self) -> [u32; 3] {
                match self { $(Call::$variant(params) => params.workgroups(),)+ }
            }
        }

        /// Every kernel.
        pub const ALL: &[&Kernel] = &[$(&$module::KERNEL,)+];
    };
}

impl Call {
    /// The convolution that it makes, or whose transpose it does.
    pub const fn convolution(&self) -> Option<&conv2d::Params> {
        if let Call::Conv2d(p) | Call::Conv2dQuads(p) = self {
            return Some(p);
        }
        if let Some(p) = self.transpose() {
            return Some(&p.0);
        }
        if let Call::Conv2dCooperative(p) = self {
            return Some(&p.conv);
        }
        if let Call::ConvTranspose2dCooperative(p) = self {
            return Some(&p.0.conv);
        }
        None
    }

    /// Whether it makes the transpose of its [convolution](Self::convolution).
    pub const fn is_transpose(&self) -> bool {
        matches!(self, Call::ConvTranspose2dCooperative(_)) || self.transpose().is_some()
    }

    /// What its shader is [told](Kernel::told) of the parameters.
    pub fn told(&self) -> Vec<u32> {
        let kernel = self.kernel();
        let offset = |name: &&str| kernel.fields.iter().find(|(field, _)| field == name);
        let words = if kernel.told.is_empty() { Vec::new() } else { self.words() };
        kernel.told.iter().filter_map(offset).map(|(_, offset)| words[offset / 4]).collect()
    }

    /// How many workgroups run where tiles have so many rows and columns, if they can have others than
    /// [`TILE`](conv2d::TILE).
    pub fn workgroups_by(&self, side: u32) -> Option<[u32; 3]> {
        if let Call::Conv2dQuads(p) = self {
            return Some(p.workgroups_by(side));
        }
        if let Call::ConvTranspose2dQuads(p) = self {
            return Some(p.workgroups_by(side));
        }
        None
    }

    /// Whether several workgroups can share the depth of its tiles.
    pub const fn can_share(&self) -> bool {
        self.cooperates() || matches!(self, Call::Conv2dQuads(_) | Call::ConvTranspose2dQuads(_))
    }

    /// The transpose in 32 bit that it makes, by whichever shader.
    const fn transpose(&self) -> Option<&conv_transpose2d::Params> {
        if let Call::ConvTranspose2d(p)
        | Call::ConvTranspose2dColors(p)
        | Call::ConvTranspose2dQuads(p) = self
        {
            return Some(p);
        }
        None
    }
}

calls! {
    /// `a + b`.
    Add(add),
    /// The sum of what workgroups have shared.
    AddShares(add_shares),
    /// Backward rows to finished maps.
    Attribution(attribution),
    /// Average pooling.
    AvgPool2d(avg_pool2d),
    /// Its transpose.
    AvgPool2dBackward(avg_pool2d_backward),
    /// Denominators of the z-box rule from a convolution's outputs.
    BoxDenominators(box_denominators),
    /// What that rule hands down through a convolution.
    BoxRelevance(box_relevance),
    /// Scale and shift of each channel.
    ChannelAffine(channel_affine),
    /// A plane of one value for each channel.
    ChannelConstant(channel_constant),
    /// The weighted sum over channels.
    ChannelDot(channel_dot),
    /// `clamp(a) * scale`: ReLU and friends.
    Clamp(clamp),
    /// Convolution with a part of the weights.
    Conv2d(conv2d),
    /// The same by cooperative matrices.
    Conv2dCooperative(conv2d_cooperative),
    /// The same where channels come in fours.
    Conv2dQuads(conv2d_quads),
    /// Its transpose.
    ConvTranspose2d(conv_transpose2d),
    /// The same to few channels.
    ConvTranspose2dColors(conv_transpose2d_colors),
    /// The same by cooperative matrices.
    ConvTranspose2dCooperative(conv_transpose2d_cooperative),
    /// The same where channels come in fours.
    ConvTranspose2dQuads(conv_transpose2d_quads),
    /// Concatenation and slicing of channels.
    CopyChannels(copy_channels),
    /// Weighted sums of rows.
    DotRows(dot_rows),
    /// Lets a signal pass where an activation allows it.
    Gate(gate),
    /// Outputs by their numbers.
    Gather(gather),
    /// Maps to planes that can be drawn.
    Heatmap(heatmap),
    /// The largest magnitude of pieces.
    Largest(largest),
    /// What denominators keep, by cause.
    Leaks(leaks),
    /// Matrix product with a part of the weights.
    Linear(linear),
    /// The same with the weights and with a part of them.
    LinearPair(linear_pair),
    /// Its transpose.
    LinearTranspose(linear_transpose),
    /// Local response normalisation.
    LocalResponseNorm(local_response_norm),
    /// Its gradient.
    LocalResponseNormBackward(local_response_norm_backward),
    /// Max pooling that records its switches.
    MaxPool2d(max_pool2d),
    /// Relevance to the winners.
    MaxPool2dBackward(max_pool2d_backward),
    /// `r' += scale * a * c`.
    MultiplyAdd(multiply_add),
    /// The same with a difference for a factor.
    MultiplyDifference(multiply_difference),
    /// Maps times planes.
    MultiplyPlanes(multiply_planes),
    /// Numbers of units as weights.
    OneHot(one_hot),
    /// NCHW to NHWC and back.
    Permute(permute),
    /// What the backward walk starts with.
    Seed(seed),
    /// Scores to probabilities.
    Softmax(softmax),
    /// Lets a signal pass as far as a stabilizer does.
    StabilizedGate(stabilized_gate),
    /// `s = r / stabilized z`.
    StabilizedRatio(stabilized_ratio),
    /// The sum of each row.
    SumRows(sum_rows),
    /// Sum, magnitude, least and greatest value of each row.
    Tally(tally),
    /// The highest scores of each picture.
    TopK(top_k),
    /// Planes to a larger size.
    Upsample2d(upsample2d),
}
