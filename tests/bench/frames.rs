//! Frame times of the Explore and Compare pages with 100,000 tensors, and of the Curves page with a million points a line:
//! views, commands and tessellation, without a GPU.
//!
//! `cargo bench --bench frames` prints the median and the 99th percentile of each story. What is prepared in the
//! background runs between frames and is not counted; taking in its result is. A number after `--` is another number of
//! tensors.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints, and fails by panicking")]

use std::time::{Duration, Instant};

use ckptscope::jobs::curves::Gathered;
use ckptscope::model::{Axis, AxisKind, Origin, Series};
use ckptscope::state::compare::{Chip, CompareColumn, PairsChange};
use ckptscope::state::curves::CurvesLook;
use ckptscope::state::{
    Command, CurvesChange, Facets, SortColumn, Statistic, TableChange, TreeChange, ValueFacet,
};

#[path = "../support/many_tensors.rs"]
mod many_tensors;

use many_tensors::{Frames, wheel};

const FRAMES: usize = 400;
/// What a display at 60 Hz leaves is 16 ms; others need most of it.
const MEDIAN_MS: f64 = 2.0;
const P99_MS: f64 = 8.0;

fn main() {
    let tensors = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    let mut bench = Bench { window: Frames::new(tensors), all: Vec::new() };
    println!("{:<46} {:>9} {:>9} {:>9}", format!("frames, {tensors} tensors"), "median", "p99", "longest");
    bench.run("as opened", |_, _| Vec::new());
    bench.window.change(TreeChange::ExpandAll);
    bench.window.frame(Vec::new());
    bench.window.frame(Vec::new());
    println!("{} rows", bench.window.rows());
    bench.run("everything open, at rest", |_, _| Vec::new());
    bench.run("everything open, scrolling", |_, _| wheel(37.0));
    for statistic in Statistic::ALL {
        bench.window.command(Command::ShowStatistic(statistic, true));
    }
    bench.run("scrolling, with ten statistics as columns", |_, _| wheel(-31.0));
    bench.run("selecting tensors far apart", |window, index| {
        window.select(index as u32 * 211 % tensors as u32);
        Vec::new()
    });
    bench.run("walking from row to row", |window, _| {
        window.change(TreeChange::Move(1));
        Vec::new()
    });
    bench.run("opening and closing a layer", |window, _| {
        window.change(TreeChange::Select(Some(Frames::group(2))));
        window.change(TreeChange::Collapse);
        window.change(TreeChange::Expand);
        Vec::new()
    });
    bench.run("typing a filter", |window, index| {
        window.change(TreeChange::Filter("layers.77.block.1.weight"[..index % 25].to_owned()));
        Vec::new()
    });
    window_back(&mut bench.window);
    bench.run("sorting by one column after the other", |window, index| {
        let columns = [
            SortColumn::Name,
            SortColumn::Bytes,
            SortColumn::Shape,
            SortColumn::Statistic(Statistic::Max),
            SortColumn::Statistic(Statistic::Std),
        ];
        if index % 4 == 0 {
            window.change(TreeChange::SortBy(columns[index / 4 % columns.len()]));
        }
        Vec::new()
    });
    bench.run("choosing facets", |window, index| {
        let facet = ValueFacet::ALL[index % ValueFacet::ALL.len()];
        window.change(TreeChange::Facets(Facets { values: [facet].into(), ..Facets::default() }));
        Vec::new()
    });
    window_back(&mut bench.window);
    bench.window.change(TreeChange::Select(None));
    bench.window.open_tab("Tensors");
    bench.run("the table of statistics, scrolling", |_, _| over_inspector(wheel(23.0)));
    bench.run("the table of statistics, sorting", |window, index| {
        if index % 4 == 0 {
            let statistic = Statistic::ALL[index / 4 % Statistic::ALL.len()];
            let change = TableChange::OrderBy(Some(statistic));
            let id = window.state.session.current().expect("one is open").id;
            window.command(Command::Table(id, change));
        }
        Vec::new()
    });
    bench.finish();
    comparison(tensors);
    curves(1_000_000);
}

/// The Curves page, with two lines of that many points.
fn curves(points: usize) {
    let mut noise = 1u64;
    let mut random = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 40) as f64 / f64::from(1u32 << 24)
    };
    let mut line = |name: &str, scale: f64| {
        let values = (0..points).map(|at| scale / (1.0 + at as f64 / 1e5) + 0.1 * random()).collect();
        let series = Series::by_index(name.to_owned(), Origin::Log, values);
        let steps = series.axes.iter().map(|axis| Axis { kind: AxisKind::Step, values: axis.values.clone() });
        Series { axes: steps.collect(), run: "run".to_owned(), ..series }
    };
    let gathered = Gathered::of(vec![line("train/loss", 3.0), line("val/loss", 4.0)]);
    let (window, taken_in) = Frames::drawing(gathered);
    let mut bench = Bench { window, all: Vec::new() };
    let points = format!("frames, 2 curves of {points} points");
    println!("{points:<46} {:>9} {:>9} {:>9}", "median", "p99", "longest");
    println!("curves are taken in within {:.1} ms", taken_in.as_secs_f64() * 1e3);
    bench.run("at rest", |_, _| Vec::new());
    bench.run("the crosshair", |_, index| vec![pointer(600.0 + index as f32)]);
    bench.run("zooming in and out", |_, index| {
        let factor = if index / 40 % 2 == 0 { 1.1 } else { 1.0 / 1.1 };
        vec![pointer(900.0), egui::Event::Zoom(factor)]
    });
    bench.run("moving the smoothing", |window, index| {
        let look = CurvesLook { smoothing: (index % 100) as f64 / 101.0, ..window.state.curves.look };
        window.change_curves(CurvesChange::Look(look));
        Vec::new()
    });
    bench.run("logarithms on and off", |window, index| {
        let log = index % 8 < 4;
        let look = CurvesLook { log_x: log, log_y: log, ..window.state.curves.look };
        window.change_curves(CurvesChange::Look(look));
        Vec::new()
    });
    bench.run("showing and hiding a line", |window, index| {
        if index % 4 == 0 {
            window.change_curves(CurvesChange::Toggle(0));
        }
        Vec::new()
    });
    bench.finish();
}

fn pointer(x: f32) -> egui::Event {
    egui::Event::PointerMoved(egui::pos2(x, 400.0))
}

/// The Compare page, with a pair for each tensor.
fn comparison(tensors: usize) {
    let (window, taken_in) = Frames::comparing(tensors);
    let mut bench = Bench { window, all: Vec::new() };
    println!("{:<46} {:>9} {:>9} {:>9}", format!("frames, {tensors} pairs"), "median", "p99", "longest");
    bench.run("as compared", |_, _| Vec::new());
    bench.run("scrolling", |_, _| wheel(37.0));
    println!("a whole comparison is taken in within {:.1} ms", taken_in.as_secs_f64() * 1e3);
    for (name, change) in [
        ("only changed", PairsChange::Chip(Chip::Changed)),
        ("everything again", PairsChange::Chip(Chip::Changed)),
        ("sort by name", PairsChange::SortBy(CompareColumn::Name)),
        ("sort by relative change", PairsChange::SortBy(CompareColumn::Relative)),
        ("filter by a part of the name", PairsChange::Filter("layers.77".to_owned())),
        ("remove the filter", PairsChange::Filter(String::new())),
        ("by layer", PairsChange::AsList(false)),
        ("expand all", PairsChange::ExpandAll),
    ] {
        let start = Instant::now();
        bench.window.change_pairs(change);
        println!("{name:<46} {:>6.2} ms", start.elapsed().as_secs_f64() * 1e3);
    }
}

/// Removes filter and facets.
fn window_back(window: &mut Frames) {
    window.change(TreeChange::Filter(String::new()));
    window.change(TreeChange::Facets(Facets::default()));
    window.frame(Vec::new());
    window.frame(Vec::new());
}

/// The same events at the inspector's side of the window.
fn over_inspector(mut events: Vec<egui::Event>) -> Vec<egui::Event> {
    for event in &mut events {
        if let egui::Event::PointerMoved(at) = event {
            at.x = 1100.0;
        }
    }
    events
}

struct Bench {
    window: Frames,
    all: Vec<Duration>,
}

impl Bench {
    /// Runs a story: what is done before each frame, and the events of that frame. Both are counted.
    fn run(&mut self, name: &str, story: impl Fn(&mut Frames, usize) -> Vec<egui::Event>) {
        let mut times: Vec<Duration> = (0..FRAMES)
            .map(|index| {
                let start = Instant::now();
                let events = story(&mut self.window, index);
                start.elapsed() + self.window.frame(events)
            })
            .collect();
        self.all.extend(&times);
        print_row(name, &mut times);
    }

    fn finish(&mut self) {
        let (median, p99) = print_row("all frames", &mut self.all);
        let (median_ok, p99_ok) = (median < MEDIAN_MS, p99 < P99_MS);
        println!("median below {MEDIAN_MS} ms: {median_ok}; 99th percentile below {P99_MS} ms: {p99_ok}");
        if self.window.rows() > 8 {
            println!("rows made anew {} times", self.window.rebuilds());
        }
    }
}

fn print_row(name: &str, times: &mut [Duration]) -> (f64, f64) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{name:<46} {:>6.2} ms {:>6.2} ms {:>6.2} ms", at(0.5), at(0.99), at(1.0));
    (at(0.5), at(0.99))
}
