//! Whether `clrp evaluate` keeps a device as busy as an explainer that has nothing else to do, and
//! whether its memory stays flat.
//!
//! `cargo bench -p clrp-cli` makes JPEG pictures, explains them by the library alone (inputs ready,
//! the same batch and methods) and by the command (decoding, games, records and all), turn by turn,
//! on every device at hand, and prints the ratio of pictures per second. The command's time is that
//! of more pictures less that of fewer, so that its start does not count, and without tables and
//! report. Then it runs the command
//! on 1,000 and on 10,000 scenes and prints the most memory it had.

#![expect(clippy::print_stdout, reason = "it shows what it finds")]

#[path = "../tests/drawn.rs"]
#[allow(dead_code, reason = "tests use more of it")]
mod drawn;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clrp::backend::{Device, DeviceChoice};
use clrp::graph::Weights;
use clrp::models::Model;
use clrp::{Explainer, Goal, Method, Request, Target, Tensor};
use image::codecs::jpeg::JpegEncoder;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const METHODS: [Method; 4] = [Method::Lrp, Method::Clrp1, Method::Clrp2, Method::Gradient];
const MODEL: &str = "squeezenet1_1";
const BATCH: usize = 8;
/// Pictures of the shorter run of the command, and of the longer on the CPU and on a GPU.
const FEW: usize = 16;
const MANY: [usize; 2] = [96, 480];
/// Pictures that differ.
const DRAWN: usize = 48;
const ROUNDS: usize = 3;

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    make_pictures(folder.path())?;
    let weights = drawn::published_squeezenet();
    fs::write(folder.path().join("weights.safetensors"), &weights)?;
    for (choice, many) in [DeviceChoice::Cpu, DeviceChoice::Gpu].into_iter().zip(MANY) {
        let Ok(device) = Device::open(&choice) else { continue };
        compare(folder.path(), &weights, &choice, device, many)?;
    }
    for count in [1_000, 10_000] {
        let count_text = count.to_string();
        let output = folder.path().join(format!("scenes-{count}"));
        let line = ["evaluate", "pointing-game", "--dataset", "digits", "--device", "cpu"];
        let child = start(&line, &["--count", &count_text, "-o"], &output)?;
        let (running, all) = peaks(child, &output.join("records.jsonl"))?;
        println!(
            "{count} scenes of digits: {} MB at most while they ran, {} MB with the results",
            running >> 20,
            all >> 20
        );
    }
    Ok(())
}

/// Smooth noise of the usual size of ImageNet's pictures, with a box each.
fn make_pictures(folder: &Path) -> Result<()> {
    let mut boxes = "file,class_index,orig_w,orig_h,x0,y0,x1,y1\n".to_owned();
    let (width, height) = (500_u32, 375_u32);
    for number in 0..MANY[1] as u32 {
        let name = format!("{number:05}.jpg");
        boxes += &format!("{name},{},{width},{height},100,80,400,300\n", number % 1000);
        if number >= DRAWN as u32 {
            let drawn = format!("{:05}.jpg", number as usize % DRAWN);
            fs::copy(folder.join(drawn), folder.join(&name))?;
            continue;
        }
        let value = |x: u32, y: u32, c: u32| {
            let wave = |at: u32, by: u32| (f64::from(at * (by + 1) + number) / 31.0).sin();
            (127.5 + 60.0 * (wave(x, c) + wave(y, number % 5))) as u8
        };
        let pixels: Vec<u8> =
            (0..width * height * 3).map(|i| value(i / 3 % width, i / 3 / width, i % 3)).collect();
        let mut file = fs::File::create(folder.join(&name))?;
        JpegEncoder::new_with_quality(&mut file, 92).encode(
            &pixels,
            width,
            height,
            image::ExtendedColorType::Rgb8,
        )?;
    }
    Ok(fs::write(folder.join("boxes.csv"), boxes)?)
}

/// Prints what the command reaches of what the library does.
fn compare(
    folder: &Path,
    weights: &[u8],
    choice: &DeviceChoice,
    device: Device,
    many: usize,
) -> Result<()> {
    let model = Model::find(MODEL)?;
    let network = model.network(model.input_shape(), Weights::from_bytes("drawn", weights)?)?;
    let name = device.name();
    let explainer =
        Explainer::builder(network, model.preprocess()).max_batch(BATCH).device(device).build()?;
    let shape = model.input_shape();
    let input = |number: usize| {
        let values = (0..shape.len()).map(|i| ((i * (number + 1)) % 255) as f32 / 64.0 - 2.0);
        Tensor::new(shape, values.collect())
    };
    let inputs: Vec<Tensor> = (0..BATCH).map(input).collect::<clrp::Result<_>>()?;
    let goals = (0..BATCH).map(|class| vec![Goal::Class(class)]);
    let request = Request::new(METHODS, Target::each(goals));
    explainer.explain_all(&inputs, &request)?;
    let (mut bare, mut command) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let start_of_run = Instant::now();
        for _ in 0..(many - FEW) / BATCH {
            explainer.explain_all(&inputs, &request)?;
        }
        bare.push(start_of_run.elapsed().as_secs_f64());
        let run = |count: usize| -> Result<f64> {
            let output = folder.join(format!("out-{choice:?}-{round}-{count}"));
            let (data, file) = (path(folder)?, path(&folder.join("weights.safetensors"))?);
            let device = if *choice == DeviceChoice::Cpu { "cpu" } else { "gpu" };
            let methods = METHODS.map(Method::name).join(",");
            let (batch, count) = (BATCH.to_string(), count.to_string());
            let line = ["evaluate", "pointing-game", "--dataset", &data, "--model", MODEL];
            let more = ["--device", device, "--method", &methods, "--batch", &batch];
            // A shard measures and makes no results: those take as long on every device.
            let rest = ["--weights", &file, "--count", &count, "--shard", "1/1", "-o"];
            let more = [&more[..], &rest].concat();
            let start_of_run = Instant::now();
            let status = start(&line, &more, &output)?.wait()?;
            assert!(status.success(), "{status}");
            Ok(start_of_run.elapsed().as_secs_f64())
        };
        let few = run(FEW)?;
        command.push(run(many)? - few);
    }
    let rate = |seconds: &mut Vec<f64>| {
        seconds.sort_by(f64::total_cmp);
        (many - FEW) as f64 / seconds[seconds.len() / 2]
    };
    let (bare, command) = (rate(&mut bare), rate(&mut command));
    println!(
        "{MODEL} on {name}: {bare:.1} pictures/s by the library, {command:.1} by the command: {:.0} %",
        100.0 * command / bare
    );
    Ok(())
}

fn path(path: &Path) -> Result<String> {
    Ok(path.to_str().ok_or("a path that is no text")?.to_owned())
}

fn start(line: &[&str], more: &[&str], output: &Path) -> Result<Child> {
    let command = Command::new(env!("CARGO_BIN_EXE_clrp"))
        .args(line)
        .args(more)
        .arg(output)
        .stdout(Stdio::null())
        .spawn();
    Ok(command?)
}

/// The most memory that a process had, in bytes, as Linux tells it: while a file grew, and in all.
fn peaks(mut child: Child, file: &Path) -> Result<(u64, u64)> {
    let status = format!("/proc/{}/status", child.id());
    let (mut running, mut most, mut length) = (0, 0, 0);
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        most = most.max(kib.unwrap_or(0) << 10);
        let grown = fs::metadata(file).map_or(0, |found| found.len());
        if grown > length {
            (running, length) = (most, grown);
        }
        if let Some(status) = child.try_wait()? {
            assert!(status.success(), "{status}");
            return Ok((running, most));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
