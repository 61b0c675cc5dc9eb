//! Every shader is what its kernel's Rust half says, and is valid wherever wgpu may take it. Needs
//! no GPU.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use clrp::kernels::follow::{self, Kind};
use clrp::kernels::{ALL, Access, Kernel, conv_transpose2d_quads, conv2d_quads};
use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess, TypeInner};

/// WebGPU's default limits.
const WORKGROUP_BYTES: u32 = 16 << 10;
const INVOCATIONS: u32 = 256;
const DIMENSIONS: [u32; 3] = [256, 256, 64];
const STORAGE_BUFFERS: usize = 8;

/// Functions and structs with one text in all the shaders that have them.
const SHARED: &[&str] = &[
    "part_of",
    "number16",
    "number",
    "numbers",
    "inputs",
    "all_inputs",
    "weights",
    "first_of",
    "parts_of",
    "multiply_tiles",
    "put_rows",
    "taps",
    "multiply",
    "store_row",
    "span",
    "row_span",
    "column_span",
    "divisor",
    "raise",
    "inverse",
    "position",
    "add_keeping",
    "signals",
    "numbers16",
    "place_of",
    "other4",
    "followed4",
    "followed_by_all4",
    "weights_of",
    "tap_after",
    "weights_ahead",
    "words_ahead",
    "raised_weights",
    "put_row",
    "put_four_rows",
    "vectors_of",
    "readable",
    "put",
    "store_four",
    "Ahead",
    "Tap",
    "Taps",
    "Follow",
];

fn parsed(kernel: &Kernel) -> Module {
    naga::front::wgsl::parse_str(kernel.source)
        .unwrap_or_else(|e| panic!("{}", e.emit_to_string_with_path(kernel.source, kernel.name)))
}

/// Whether it is for cooperative matrices, which Vulkan alone has in this size.
fn cooperates(kernel: &Kernel) -> bool {
    kernel.source.contains("enable wgpu_cooperative_matrix;")
}

fn validated(kernel: &Kernel) -> (Module, ModuleInfo) {
    let module = parsed(kernel);
    // No capabilities: what every device and browser has.
    let capabilities = match cooperates(kernel) {
        true => {
            Capabilities::COOPERATIVE_MATRIX
                | Capabilities::SHADER_FLOAT16
                | Capabilities::SHADER_FLOAT16_IN_FLOAT32
                | Capabilities::SUBGROUP
        }
        false => Capabilities::empty(),
    };
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|e| {
            panic!("{}", e.emit_to_string_with_path(kernel.source, kernel.name));
        });
    (module, info)
}

fn shaders() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders"))
}

#[test]
fn every_shader_can_be_written_for_every_platform() {
    for kernel in ALL {
        let (module, info) = validated(kernel);
        if cooperates(kernel) {
            for lanes in [32.0, 128.0, 256.0] {
                written_as_spirv(kernel.name, &module, &info, &[("LANES", lanes)]);
            }
            continue;
        }
        can_be_written(kernel.name, &module, &info, &[]);
        // Kernels without the choice have one variant.
        if kernel.follows {
            let kinds =
                [("STEP0", 2.0), ("STEP1", 4.0), ("STEP2", 6.0), ("FROM1", 2.0), ("FROM2", 3.0)];
            can_be_written(kernel.name, &module, &info, &kinds);
            if declares(&module, "SIDE") {
                let large = ("SIDE", f64::from(conv2d_quads::LARGE));
                can_be_written(kernel.name, &module, &info, &[&kinds[..], &[large]].concat());
            }
        } else if declares(&module, "EXACT") {
            can_be_written(kernel.name, &module, &info, &[("EXACT", 1.0)]);
        }
    }
}

fn declares(module: &Module, constant: &str) -> bool {
    module.overrides.iter().any(|(_, found)| found.name.as_deref() == Some(constant))
}

#[test]
fn shaders_have_constants_for_what_they_are_told() {
    for kernel in ALL {
        let module = parsed(kernel);
        for name in ["part", "stored"] {
            let told = kernel.told.contains(&name);
            assert_eq!(declares(&module, &name.to_uppercase()), told, "{name} of {}", kernel.name);
        }
        for name in kernel.told {
            assert!(declares(&module, &name.to_uppercase()), "{name} of {}", kernel.name);
            assert!(
                !kernel.source.contains(&format!("params.{name}")),
                "{name} of {}",
                kernel.name
            );
        }
        let has_field = |name: &&str| kernel.fields.iter().any(|(field, _)| field == name);
        assert!(kernel.told.iter().all(has_field), "{}", kernel.name);
    }
}

/// The module and its info with the constants put in.
fn written_as_spirv<'a>(
    name: &str,
    module: &'a Module,
    info: &'a ModuleInfo,
    constants: &[(&str, f64)],
) -> (Cow<'a, Module>, Cow<'a, ModuleInfo>) {
    let constants = constants.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let (module, info) = process_overrides(module, info, None, &constants)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let spirv = naga::back::spv::write_vec(&module, &info, &Default::default(), None);
    assert!(spirv.is_ok(), "{name}: {spirv:?}");
    (module, info)
}

fn can_be_written(name: &str, module: &Module, info: &ModuleInfo, constants: &[(&str, f64)]) {
    let (module, info) = written_as_spirv(name, module, info, constants);
    let msl = naga::back::msl::Options { fake_missing_bindings: true, ..Default::default() };
    let msl = naga::back::msl::write_string(&module, &info, &msl, &Default::default());
    assert!(msl.is_ok(), "{name}: {msl:?}");

    let options = naga::back::hlsl::Options::default();
    let pipeline = Default::default();
    let mut hlsl = String::new();
    let written = naga::back::hlsl::Writer::new(&mut hlsl, &options, &pipeline)
        .write(&module, &info, None)
        .map(drop);
    assert!(written.is_ok(), "{name}: {written:?}");
}

#[test]
fn shaders_declare_the_params_their_host_uploads() {
    for kernel in ALL {
        let module = parsed(kernel);
        let params = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params"));
        let (_, params) = params.unwrap_or_else(|| panic!("{} has no `Params`", kernel.name));
        let TypeInner::Struct { members, .. } = &params.inner else {
            panic!("`Params` of {} is no struct", kernel.name);
        };
        let declared: Vec<(&str, usize)> = members
            .iter()
            .map(|m| (m.name.as_deref().expect("members have names"), m.offset as usize))
            .collect();
        assert_eq!(declared, kernel.fields, "{}", kernel.name);
    }
}

#[test]
fn bindings_are_the_operands_in_their_order() {
    for kernel in ALL {
        let module = parsed(kernel);
        let (mut declared, mut uniforms) = (BTreeMap::new(), BTreeMap::new());
        for (_, variable) in module.global_variables.iter() {
            let Some(at) = &variable.binding else { continue };
            assert_eq!(at.group, 0, "{}", kernel.name);
            if variable.space == AddressSpace::Uniform {
                uniforms.insert(at.binding, variable.name.as_deref());
                continue;
            }
            let TypeInner::Array { base, .. } = module.types[variable.ty].inner else {
                panic!("{} has an operand that is no array", kernel.name);
            };
            declared.insert(at.binding, (variable.space, module.types[base].inner.scalar()));
        }
        // What follows has a uniform of its own, and three operands that it reads.
        let count = 1 + kernel.operands.len() as u32;
        let of_follow = (count + 1..count + 4).map(|binding| (binding, &Access::Read));
        let of_follow = of_follow.filter(|_| kernel.follows);
        let expected_uniforms = [(0, Some("params")), (count, Some("follow"))];
        assert!(
            uniforms
                .into_iter()
                .eq(expected_uniforms.into_iter().take(1 + usize::from(kernel.follows)))
        );
        let operands = (1..).zip(kernel.operands).chain(of_follow);
        let expected = operands.map(|(binding, access)| {
            let (writes, scalar) = match access {
                Access::Read => (false, naga::Scalar::F32),
                Access::Write | Access::Update => (true, naga::Scalar::F32),
                Access::ReadWeight | Access::ReadIndex => (false, naga::Scalar::U32),
                Access::WriteIndex => (true, naga::Scalar::U32),
            };
            let store = if writes { StorageAccess::STORE } else { StorageAccess::empty() };
            let space = AddressSpace::Storage { access: StorageAccess::LOAD | store };
            (binding, (space, Some(scalar)))
        });
        assert_eq!(declared, expected.collect(), "{}", kernel.name);
        assert!(declared.len() <= STORAGE_BUFFERS, "{}", kernel.name);
    }
}

type Named = Vec<(String, usize)>;

/// Names and offsets of the members of `Follow`, how many of these there are, and the numbers of kinds.
fn declared(kernel: &Kernel) -> (Named, usize, Named) {
    let module = parsed(kernel);
    let follow = |name: &Option<String>| name.as_deref() == Some("follow");
    let (_, array) =
        module.global_variables.iter().find(|(_, v)| follow(&v.name)).expect("it has `follow`");
    let TypeInner::Array { base, size: naga::ArraySize::Constant(count), .. } =
        module.types[array.ty].inner
    else {
        panic!("`follow` is no array");
    };
    let TypeInner::Struct { members, .. } = &module.types[base].inner else {
        panic!("`follow` has no structs");
    };
    let members = members.iter().map(|m| (m.name.clone().unwrap_or_default(), m.offset as usize));
    let constants = module.constants.iter().filter_map(|(_, constant)| {
        let naga::Expression::Literal(naga::Literal::U32(value)) =
            module.global_expressions[constant.init]
        else {
            return None;
        };
        Some((constant.name.clone()?, value as usize))
    });
    (members.collect(), count.get() as usize, constants.collect())
}

#[test]
fn shaders_are_told_what_they_expect() {
    let kinds = [
        Kind::Clamp,
        Kind::Affine,
        Kind::Scale,
        Kind::Add,
        Kind::Ratio,
        Kind::Multiply,
        Kind::Gate,
    ];
    let kinds = kinds.map(|kind| (format!("{kind:?}").to_uppercase(), kind as usize));
    let fields: Vec<_> =
        follow::Params::FIELDS.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect();
    let kernels: Vec<_> = ALL.iter().filter(|kernel| kernel.follows).collect();
    assert_eq!(kernels.len(), 3);
    for kernel in kernels {
        let (members, count, constants) = declared(kernel);
        assert_eq!(members, fields, "{}", kernel.name);
        assert_eq!(count, follow::MOST, "{}", kernel.name);
        for kind in &kinds {
            assert!(constants.contains(kind), "{kind:?} of {}", kernel.name);
        }
    }
}

/// Invocations of a workgroup, and bytes that they share.
fn size(kernel: &Kernel, constants: &[(&str, f64)]) -> ([u32; 3], u32) {
    let (module, info) = validated(kernel);
    let constants = constants.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let (module, _) = process_overrides(&module, &info, None, &constants).expect("they are known");
    let [entry] = &module.entry_points[..] else {
        panic!("{} has not one entry point", kernel.name);
    };
    assert_eq!((entry.name.as_str(), entry.stage), ("main", ShaderStage::Compute));
    let shared = module.global_variables.iter().filter_map(|(_, variable)| {
        let inner = &module.types[variable.ty].inner;
        (variable.space == AddressSpace::WorkGroup).then(|| inner.size(module.to_ctx()))
    });
    (entry.workgroup_size, shared.sum())
}

#[test]
fn shaders_keep_within_the_default_limits() {
    for kernel in ALL {
        let (size, shared) = size(kernel, &[]);
        assert!(size.iter().product::<u32>() <= INVOCATIONS, "{}", kernel.name);
        assert!(size.iter().zip(DIMENSIONS).all(|(size, limit)| *size <= limit));
        assert!(shared <= WORKGROUP_BYTES, "{}", kernel.name);
    }
}

#[test]
fn large_tiles_take_what_the_host_thinks() {
    for kernel in [&conv2d_quads::KERNEL, &conv_transpose2d_quads::KERNEL] {
        let (size, shared) = size(kernel, &[("SIDE", f64::from(conv2d_quads::LARGE))]);
        assert_eq!(size, [conv2d_quads::LARGE_INVOCATIONS, 1, 1]);
        assert_eq!(shared, conv2d_quads::LARGE_BYTES);
    }
}

#[test]
fn every_file_belongs_to_a_kernel() {
    let files = std::fs::read_dir(shaders()).expect("the repository has shaders");
    let mut files: Vec<_> = files
        .map(|file| file.expect("shaders can be listed").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    files.sort();
    let mut expected: Vec<_> = ALL.iter().map(|kernel| format!("{}.wgsl", kernel.name)).collect();
    expected.sort();
    assert_eq!(files, expected);
}

/// The text of a function or struct from its name to its closing brace, if the shader has it.
fn text<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let begins = [format!("\nfn {name}("), format!("\nstruct {name} {{")];
    let begin = begins.iter().find_map(|begin| source.find(begin))?;
    let text = &source[begin..];
    Some(&text[..text.find("\n}\n").expect("it ends")])
}

#[test]
fn what_shaders_share_has_one_text() {
    for name in SHARED {
        let texts = || ALL.iter().filter_map(|kernel| text(kernel.source, name));
        assert!(texts().count() > 1, "`{name}` is not shared");
        assert!(texts().all(|text| Some(text) == texts().next()), "`{name}` has several texts");
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "a skipped check is told")]
fn browsers_take_every_shader() {
    let quiet = || Stdio::null();
    if Command::new("tint").arg("--version").stdout(quiet()).stderr(quiet()).status().is_err() {
        println!("skipped: `tint` is not on the PATH");
        return;
    }
    for kernel in ALL.iter().filter(|kernel| !cooperates(kernel)) {
        let file = shaders().join(kernel.name).with_extension("wgsl");
        let output = Command::new("tint").args(["--format", "wgsl"]).arg(file).output();
        let output = output.expect("tint was there a moment ago");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
