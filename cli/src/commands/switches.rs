//! `clrp switches`: where in their windows max pools find their maxima.

use std::path::PathBuf;

use clap::Args;
use clrp::image::Sheet;
use clrp::switches::{EdgeCounts, SwitchCounts, Switches as PoolSwitches, Tally};
use serde::Serialize;

use crate::console::{print, print_json, progress};
use crate::failure::{Failure, Result};
use crate::folder::{Results, stem};
use crate::options::{DeviceOptions, NetworkOptions, PictureOptions, Precision};
use crate::pictures::{self, Loaded};
use crate::report::{Document, Input, Setting, shown};
use crate::runner::Runner;
use crate::switch_sheet::{draw_channels, row};
use crate::table::{Table, thousands};

const EXAMPLES: &str = "\
Examples:
  clrp switches photo.jpg --model inception_v3
  clrp switches *.jpg --weights squeezenet1_1.safetensors -o switches --json";

const DETAILS: &str = "\
Relevance and gradients pass a max pool to the winners of its windows only. Where winners crowd at
the border of a plane, so do maps: `clrp explain` warns of those.

Tied windows, whose largest value occurs more than once (mostly zeros behind a ReLU), are won by
their first cell whatever the picture shows: they are counted, but in no share and no picture.
`uniform` is what a share would be if each cell of a window were as likely to win; padding never
wins and is no cell. `-`: no window reaches that row or column, or all are tied. Smooth planes
favour the outer taps of every window: what the border adds is beyond the share that the taps of
that side have in all windows.

Files:
  {stem}-switches.png  a row for each max pool, with planes of a few channels drawn by lot: red are
                       the winners of the windows along the border of the pool's output, blue is
                       as far as these windows reach, darker the outermost rows and columns

JSON (--json), one object:
  image, input  as of `clrp explain`; with several IMAGEs these fields are in a list `images`, up
                to `sheet`
  pools         layer, kernel, stride, padding, more_padding, dilation (rows, columns), ceil_mode,
                input and output [C, H, W], windows, tied (in all channels), taps {winners,
                uniform} (numbers of winners, found and expected, a list for each row of the
                window), edges (edge, windows, tied, winners, uniform: by distance from the edge,
                the outermost row or column first), channels (in the picture)
  sheet         the picture's path
  model, weights (null: bundled), device";

/// Arguments of `clrp switches`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{DETAILS}"))]
pub(crate) struct Switches {
    #[command(flatten)]
    pictures: PictureOptions,

    #[command(flatten)]
    network: NetworkOptions,

    #[command(flatten)]
    device: DeviceOptions,

    /// How precisely is computed: f64 on a CPU, fast on a GPU with cooperative matrices
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
    precision: Precision,

    /// The folder for all files; made if it is not there
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,

    /// Print JSON instead of tables; --help describes it
    #[arg(long)]
    json: bool,

    /// Another seed, other channels in the picture
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[derive(Serialize)]
struct PictureReport {
    image: String,
    input: Input,
    pools: Vec<PoolReport>,
    sheet: String,
}

#[derive(Serialize)]
struct PoolReport {
    layer: String,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    more_padding: [usize; 2],
    dilation: [usize; 2],
    ceil_mode: bool,
    input: [usize; 3],
    output: [usize; 3],
    windows: usize,
    tied: usize,
    taps: TapReport,
    edges: Vec<EdgeReport>,
    channels: Vec<usize>,
    #[serde(skip)]
    counts: SwitchCounts,
}

#[derive(Serialize)]
struct TapReport {
    winners: Vec<Vec<usize>>,
    uniform: Vec<Vec<f64>>,
}

#[derive(Serialize)]
struct EdgeReport {
    edge: &'static str,
    windows: usize,
    tied: usize,
    winners: Vec<usize>,
    uniform: Vec<f64>,
}

impl Switches {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let images = &self.pictures.images;
        pictures::check(images)?;
        let chosen = self.network.choose()?;
        let preprocess = self.pictures.shaping.preprocess(chosen.preprocess, self.network.size);
        let batch = self.pictures.batch.min(images.len());
        let device = self.device.open(self.precision)?;
        let runner = Runner::usual(chosen.network, device, preprocess, batch)?;
        // A network without max pools.
        runner.explainer()?.switches(&[])?;
        let mut results = Results::open(&self.output, images, chosen.weights.as_ref())?;
        let weights = chosen.weights.as_deref();
        let setting = Setting::of(chosen.name, weights, runner.device.name());

        let bar = progress(images.len());
        let mut reports = Vec::new();
        runner.process(images, &bar, |explainer, pictures| {
            let inputs: Vec<_> = pictures.iter().map(|picture| picture.input.clone()).collect();
            for (picture, pools) in pictures.iter().zip(explainer.switches(&inputs)?) {
                reports.push(self.write(&mut results, picture, &pools)?);
            }
            Ok(())
        })?;
        // The files are there whether or not somebody reads what is printed.
        results.commit()?;
        if self.json {
            return print_json(&Document::new(&setting, &reports));
        }
        reports.iter().try_for_each(|report| print(report.text(&setting)))
    }

    /// Draws the page of a picture.
    fn write(
        &self,
        results: &mut Results,
        picture: &Loaded,
        pools: &[PoolSwitches],
    ) -> Result<PictureReport> {
        let (mut reports, mut rows) = (Vec::new(), Vec::new());
        for pool in pools {
            let report = PoolReport::of(pool, draw_channels(pool, self.seed));
            rows.push(row(pool, &report.counts.edges, &report.channels)?);
            reports.push(report);
        }
        let sheet = Sheet { captions: Vec::new(), rows };
        let page = sheet.render().map_err(|error| Failure::about(&picture.path, error))?;
        let sheet =
            results.write(&format!("{}-switches.png", stem(&picture.path)), &page.encode_png())?;
        let (image, input) = (shown(&picture.path), Input::of(picture));
        Ok(PictureReport { image, input, pools: reports, sheet })
    }
}

impl PoolReport {
    fn of(switches: &PoolSwitches, channels: Vec<usize>) -> Self {
        let (pool, counts) = (switches.pool(), switches.counts());
        let list = |shape: clrp::Shape| [shape.channels, shape.height, shape.width];
        let rows = || counts.taps.chunks_exact(pool.kernel[1]);
        let taps = TapReport {
            winners: rows().map(|row| row.iter().map(|tap| tap.found).collect()).collect(),
            uniform: rows().map(|row| row.iter().map(|tap| tap.uniform).collect()).collect(),
        };
        let edge = |edge: &EdgeCounts| EdgeReport {
            edge: edge.edge.name(),
            windows: edge.windows,
            tied: edge.tied,
            winners: edge.distances.iter().map(|tally| tally.found).collect(),
            uniform: edge.distances.iter().map(|tally| tally.uniform).collect(),
        };
        Self {
            layer: switches.layer().to_owned(),
            kernel: pool.kernel,
            stride: pool.stride,
            padding: pool.padding,
            more_padding: pool.more_padding,
            dilation: pool.dilation,
            ceil_mode: pool.ceil_mode,
            input: list(switches.input()),
            output: list(switches.output()),
            windows: counts.windows,
            tied: counts.tied,
            taps,
            edges: counts.edges.iter().map(edge).collect(),
            channels,
            counts,
        }
    }

    /// The window, with what is not usual about it.
    fn window(&self) -> String {
        let mut text = times(self.kernel);
        if self.dilation != [1, 1] {
            text += &format!(", dilation {}", pair(self.dilation));
        }
        if self.ceil_mode {
            text += ", ceil";
        }
        text
    }

    /// The padding on either side, and what is below and to the right beyond that.
    fn padding(&self) -> String {
        match self.more_padding {
            [0, 0] => pair(self.padding),
            more => format!("{}+{}", pair(self.padding), pair(more)),
        }
    }
}

impl PictureReport {
    fn text(&self, setting: &Setting) -> String {
        let head = format!("{}: {} on {}", self.image, setting.model, setting.device);
        let (sizes, edges, taps) = (self.sizes(), self.edges(), self.taps());
        format!(
            "{head}\n{sizes}\n  \
             winners in the outermost row or column, in % of the windows along that edge \
             (uniform), without tied ones\n{edges}\n  \
             winners at each tap of the window, in % of all windows, without tied ones\n{taps}\n  \
             {}\n\n",
            self.sheet
        )
    }

    fn sizes(&self) -> Table {
        let headings =
            ["layer", "window", "stride", "padding", "input", "output", ">windows", ">tied %"];
        let mut table = Table::new(headings).indented(2);
        for pool in &self.pools {
            let [input, output] = [pool.input, pool.output].map(|[channels, height, width]| {
                clrp::Shape::new(channels, height, width).to_string()
            });
            table.row([
                pool.layer.clone(),
                pool.window(),
                pair(pool.stride),
                pool.padding(),
                input,
                output,
                thousands(pool.windows),
                percent(pool.tied as f64, pool.windows),
            ]);
        }
        table
    }

    fn edges(&self) -> Table {
        let mut table = Table::new(["layer", ">top", ">bottom", ">left", ">right"]).indented(2);
        for pool in &self.pools {
            let share = |edge: &EdgeCounts| match edge.outermost() {
                Some(Tally { found, uniform }) => {
                    let decided = edge.windows - edge.tied;
                    format!("{} ({})", percent(found as f64, decided), percent(uniform, decided))
                }
                None => "-".to_owned(),
            };
            let [top, bottom, left, right] = pool.counts.edges.each_ref().map(share);
            table.row([pool.layer.clone(), top, bottom, left, right]);
        }
        table
    }

    fn taps(&self) -> Table {
        let mut table = Table::new(["layer", ">row", ">winners", ">uniform"]).indented(2);
        for pool in &self.pools {
            let decided = pool.windows - pool.tied;
            let list = |shares: &mut dyn Iterator<Item = f64>| {
                shares.map(|count| percent(count, decided)).collect::<Vec<_>>().join("  ")
            };
            for (i, row) in pool.counts.taps.chunks_exact(pool.kernel[1]).enumerate() {
                table.row([
                    pool.layer.clone(),
                    i.to_string(),
                    list(&mut row.iter().map(|tap| tap.found as f64)),
                    list(&mut row.iter().map(|tap| tap.uniform)),
                ]);
            }
        }
        table
    }
}

/// Per cent of `all`, without the sign.
fn percent(count: f64, all: usize) -> String {
    if all == 0 { "-".to_owned() } else { format!("{:.1}", count * 100.0 / all as f64) }
}

/// `3x3`.
fn times([rows, columns]: [usize; 2]) -> String {
    format!("{rows}x{columns}")
}

/// `2`, or `2x1` where rows and columns differ.
fn pair(both: [usize; 2]) -> String {
    if both[0] == both[1] { both[0].to_string() } else { times(both) }
}
