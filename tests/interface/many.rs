//! A checkpoint of 100,000 tensors: work follows changes, never frames. Times are measured by `cargo bench --bench frames`.

use ckptscope::state::compare::{Chip, CompareColumn, TableChange};
use ckptscope::state::{SortColumn, Statistic, TreeChange};

#[path = "../support/many_tensors.rs"]
mod many_tensors;

use many_tensors::{Frames, wheel};

const TENSORS: usize = 100_000;

#[test]
fn frames_without_a_change_make_no_rows_anew() {
    let mut window = Frames::new(TENSORS);
    window.change(TreeChange::ExpandAll);
    assert!(window.rows() > TENSORS);
    let before = window.rebuilds();
    for index in 0..30 {
        window.frame(if index % 3 == 0 { wheel(200.0) } else { Vec::new() });
    }
    window.select(70_000);
    for _ in 0..10 {
        window.frame(Vec::new());
    }
    assert_eq!(window.rebuilds(), before, "scrolling and selecting only look at rows that exist");
}

#[test]
fn frames_of_a_comparison_make_no_rows_anew_and_each_change_makes_them_once() {
    let (mut window, _) = Frames::comparing(TENSORS);
    assert_eq!(window.state.compare.table.rows().len(), TENSORS);
    for change in [
        TableChange::Chip(Chip::Changed),
        TableChange::SortBy(CompareColumn::Name),
        TableChange::Filter("layers.77".to_owned()),
        TableChange::AsList(false),
    ] {
        let before = window.state.compare.table.rebuilds();
        window.change_pairs(change.clone());
        for index in 0..6 {
            window.frame(if index % 2 == 0 { wheel(200.0) } else { Vec::new() });
        }
        assert_eq!(window.state.compare.table.rebuilds(), before + 1, "{change:?}");
    }
}

#[test]
fn each_change_makes_the_rows_anew_once() {
    let mut window = Frames::new(TENSORS);
    window.change(TreeChange::ExpandAll);
    for change in [
        TreeChange::SortBy(SortColumn::Statistic(Statistic::Max)),
        TreeChange::SortBy(SortColumn::Name),
        TreeChange::Filter("layers.77".to_owned()),
        TreeChange::Filter(String::new()),
        TreeChange::CollapseAll,
    ] {
        let before = window.rebuilds();
        window.change(change.clone());
        window.frame(Vec::new());
        window.frame(Vec::new());
        assert_eq!(window.rebuilds(), before + 1, "{change:?}");
    }
}
