//! A checkpoint of 100,000 tensors: work follows changes, never frames. Times are measured by `cargo bench --bench frames`.

use ckptscope::jobs::curves::Gathered;
use ckptscope::model::{Origin, Series, TensorId};
use ckptscope::state::compare::{Chip, CompareColumn, PairsChange};
use ckptscope::state::curves::CurvesLook;
use ckptscope::state::curves::plot::{Cut, cut};
use ckptscope::state::{Command, CurvesChange, SortColumn, Statistic, TableChange, TreeChange};

#[path = "../support/many_tensors.rs"]
mod many_tensors;

use many_tensors::{Frames, wheel};

const TENSORS: usize = 100_000;

#[test]
fn frames_without_a_change_make_no_rows_anew() {
    let mut window = Frames::new(TENSORS);
    window.change(TreeChange::ExpandAll);
    window.frame(Vec::new());
    window.frame(Vec::new());
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
        PairsChange::Chip(Chip::Changed),
        PairsChange::SortBy(CompareColumn::Name),
        PairsChange::Filter("layers.77".to_owned()),
        PairsChange::AsList(false),
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
fn many_points_are_made_ready_between_frames_and_drawn_as_few() {
    let values = (0..200_000).map(|at| f64::from(at % 977)).collect();
    let series = Series::by_index("loss".to_owned(), Origin::Log, values);
    let (mut window, _) = Frames::drawing(Gathered::of(vec![series]));
    let curves = &window.state.curves;
    assert!(!curves.is_drawing() && curves.drawing.lines.len() == 1);
    let all = Cut { generation: 0, range: (f64::NAN, f64::NAN), columns: 800 };
    let drawn = cut(&curves.drawing.lines, None, &all);
    let points: usize = drawn[0].line.iter().map(Vec::len).sum();
    assert!(points <= 4 * 800, "{points}");
    let look = CurvesLook { smoothing: 0.5, ..curves.look };
    window.change_curves(CurvesChange::Look(look));
    assert!(window.state.curves.is_drawing(), "a change leaves the work to a job");
    assert_eq!(window.state.curves.drawing.look.smoothing, 0.0, "what was drawn stays meanwhile");
    window.frame(Vec::new());
    window.frame(Vec::new());
    assert!(!window.state.curves.is_drawing());
    assert_eq!(window.state.curves.drawing.look.smoothing, 0.5);
}

#[test]
fn each_change_makes_the_rows_anew_once() {
    let mut window = Frames::new(TENSORS);
    window.change(TreeChange::ExpandAll);
    window.frame(Vec::new());
    window.frame(Vec::new());
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

#[test]
fn rows_stay_until_the_ones_asked_for_last_are_there() {
    let mut window = Frames::new(TENSORS);
    let before = window.rows();
    window.change(TreeChange::ExpandAll);
    window.change(TreeChange::Filter("layers.77.block.1".to_owned()));
    assert_eq!(window.rows(), before, "no frame waits for rows");
    let made = window.rebuilds();
    window.frame(Vec::new());
    window.frame(Vec::new());
    assert_eq!(window.rebuilds(), made + 1, "of two changes in one frame only the last is carried out");
    let tree = &window.state.session.current().unwrap().tree;
    assert_eq!((tree.matching(), tree.is_awaiting_rows()), (Some(1), false));
}

#[test]
fn pairs_stay_until_the_ones_asked_for_last_are_there() {
    let (mut window, _) = Frames::comparing(TENSORS);
    window.change_pairs(PairsChange::SortBy(CompareColumn::Name));
    window.change_pairs(PairsChange::Filter("layers.77.".to_owned()));
    let table = &window.state.compare.table;
    assert_eq!((table.rows().len(), table.is_awaiting_rows()), (TENSORS, true), "no frame waits for rows");
    window.frame(Vec::new());
    window.frame(Vec::new());
    let table = &window.state.compare.table;
    assert_eq!((Some(table.rows().len()), table.is_awaiting_rows()), (table.matching(), false));
    assert!(table.rows().len() < TENSORS);
}

#[test]
fn one_layer_opens_and_closes_at_once() {
    let mut window = Frames::new(TENSORS);
    window.change(TreeChange::ExpandAll);
    window.frame(Vec::new());
    window.frame(Vec::new());
    let open = window.rows();
    let layer = Frames::group(3);
    window.change(TreeChange::Select(Some(layer)));
    window.change(TreeChange::Collapse);
    assert!(window.rows() < open);
    window.change(TreeChange::Expand);
    assert_eq!(window.rows(), open);
}

#[test]
fn a_tensor_in_a_closed_layer_is_brought_into_view_when_its_row_is_there() {
    let mut window = Frames::new(TENSORS);
    window.change(TreeChange::CollapseAll);
    window.frame(Vec::new());
    window.frame(Vec::new());
    window.select(70_000);
    window.frame(Vec::new());
    window.frame(Vec::new());
    let tree = &window.state.session.current().unwrap().tree;
    let row = tree.row_of(tree.selected().unwrap());
    assert!(row.is_some());
    assert_eq!(tree.scroll_to().map(|(_, row)| row), row);
}

#[test]
fn the_table_of_statistics_is_put_in_order_in_the_background() {
    let mut window = Frames::new(TENSORS);
    window.open_tab("Tensors");
    window.frame(Vec::new());
    window.frame(Vec::new());
    let id = window.state.session.current().unwrap().id;
    let first = |window: &Frames| window.state.session.current().unwrap().table.rows().first().copied();
    assert_eq!(first(&window), Some(TensorId(0)), "by name at first");
    window.command(Command::Table(id, TableChange::OrderBy(Some(Statistic::Max))));
    assert_eq!(first(&window), Some(TensorId(0)), "no frame waits for the order");
    window.frame(Vec::new());
    window.frame(Vec::new());
    assert_eq!(first(&window), Some(TensorId(TENSORS as u32 - 1)), "the largest first");
}
