//! Frame times of the Explore page with 100,000 tensors: views, commands and tessellation, without a GPU.
//!
//! `cargo bench --bench frames` prints the median and the 99th percentile of each story, and the time of each change.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints, and fails by panicking")]

use std::time::{Duration, Instant};

use ckptscope::state::compare::{Chip, CompareColumn, TableChange};
use ckptscope::state::{SortColumn, Statistic, TreeChange};

#[path = "../support/many_tensors.rs"]
mod many_tensors;

use many_tensors::{Frames, wheel};

const FRAMES: usize = 400;

fn main() {
    let mut window = Frames::new(100_000);
    println!("{:<44} {:>9} {:>9}", "frames, 100,000 tensors", "median", "p99");
    report("as opened", |window, _| window.frame(Vec::new()), &mut window);
    window.change(TreeChange::ExpandAll);
    println!("{} rows", window.rows());
    report("everything open, at rest", |window, _| window.frame(Vec::new()), &mut window);
    report("everything open, scrolling", |window, _| window.frame(wheel(37.0)), &mut window);
    report(
        "walking through tensors",
        |window, index| {
            let start = Instant::now();
            window.select(index as u32 * 211);
            let moved = start.elapsed();
            moved + window.frame(Vec::new())
        },
        &mut window,
    );
    println!("{:<44} {:>9}", "changes", "time");
    for (name, change) in [
        ("sort by name", TreeChange::SortBy(SortColumn::Name)),
        ("sort by bytes", TreeChange::SortBy(SortColumn::Bytes)),
        ("sort by largest value", TreeChange::SortBy(SortColumn::Statistic(Statistic::Max))),
        ("filter by a part of the name", TreeChange::Filter("layers.77".to_owned())),
        ("remove the filter", TreeChange::Filter(String::new())),
        ("collapse all", TreeChange::CollapseAll),
        ("expand all", TreeChange::ExpandAll),
    ] {
        let start = Instant::now();
        window.change(change);
        println!("{name:<44} {:>6.2} ms", milliseconds(start.elapsed()));
    }
    println!("rows made anew {} times", window.rebuilds());
    comparison();
}

/// The Compare page, with a pair for each tensor.
fn comparison() {
    let (mut window, taken_in) = Frames::comparing(100_000);
    println!("{:<44} {:>9} {:>9}", "frames, 100,000 pairs", "median", "p99");
    report("as compared", |window, _| window.frame(Vec::new()), &mut window);
    report("scrolling", |window, _| window.frame(wheel(37.0)), &mut window);
    println!("{:<44} {:>6.2} ms", "a whole comparison arrives", milliseconds(taken_in));
    for (name, change) in [
        ("only changed", TableChange::Chip(Chip::Changed)),
        ("everything again", TableChange::Chip(Chip::Changed)),
        ("sort by name", TableChange::SortBy(CompareColumn::Name)),
        ("sort by relative change", TableChange::SortBy(CompareColumn::Relative)),
        ("filter by a part of the name", TableChange::Filter("layers.77".to_owned())),
        ("remove the filter", TableChange::Filter(String::new())),
        ("by layer", TableChange::AsList(false)),
        ("expand all", TableChange::ExpandAll),
    ] {
        let start = Instant::now();
        window.change_pairs(change);
        println!("{name:<44} {:>6.2} ms", milliseconds(start.elapsed()));
    }
}

fn report(name: &str, story: impl Fn(&mut Frames, usize) -> Duration, window: &mut Frames) {
    let mut times: Vec<Duration> = (0..FRAMES).map(|index| story(window, index)).collect();
    times.sort();
    let at = |share: f64| milliseconds(times[((times.len() - 1) as f64 * share) as usize]);
    println!("{name:<44} {:>6.2} ms {:>6.2} ms", at(0.5), at(0.99));
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
