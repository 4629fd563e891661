//! The Compare page: stories over two real checkpoints, the jobs run in place.

use std::sync::Mutex;

use ckptscope::jobs::{JobRequest, JobStatus, ReportFormat};
use ckptscope::state::compare::{Chip, CompareItem, CompareStatus, Side, full_name};
use ckptscope::state::{CompareChange, Dialogs};

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compare").join(name)
}

/// The requests that the window made since the last call.
fn requests(window: &Window) -> Vec<JobRequest> {
    let effects = window.effects.borrow_mut().drain(..).collect::<Vec<_>>();
    effects
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Submit(request) => Some(request),
            _ => None,
        })
        .collect()
}

fn send(window: &mut Window, command: Command) {
    let effects = apply(command, &mut window.state.borrow_mut());
    window.effects.borrow_mut().extend(effects);
    window.harness.run_steps(4);
}

/// Runs the jobs that the window asks for, with what they report on the way, until none are left.
fn run_jobs(window: &mut Window) -> usize {
    let mut ran = 0;
    loop {
        let requests = requests(window);
        if requests.is_empty() {
            return ran;
        }
        for request in requests {
            ran += 1;
            let (key, parts) = (request.key(), Mutex::new(Vec::new()));
            let report = |part| parts.lock().unwrap().push(JobOutcome::Partial(part));
            let outcome = ckptscope::jobs::run::run(&request, &Progress::new(), &report);
            for outcome in parts.into_inner().unwrap().into_iter().chain([outcome]) {
                send(window, Command::JobEnded(JobEvent { key: key.clone(), outcome }));
            }
        }
    }
}

/// A window with these files open, every job done.
fn opened(dark: bool, names: &[&str]) -> Window {
    let mut window = window(dark, |state| state.settings.scan_on_open = false);
    send(&mut window, Command::OpenPaths(names.iter().map(|name| fixture(name)).collect()));
    run_jobs(&mut window);
    window
}

/// A fine-tuned checkpoint beside the one that it comes from, compared.
fn compared(dark: bool) -> Window {
    let mut window = opened(dark, &["fine_tune_left.pt", "fine_tune_right.pt"]);
    window.click("Compare them");
    run_jobs(&mut window);
    window
}

fn count(window: &Window, chip: Chip) -> u64 {
    window.state.borrow().compare.found.as_ref().expect("it was compared").counts().of(chip)
}

fn row_names(window: &Window) -> Vec<String> {
    let state = window.state.borrow();
    let found = state.compare.found.as_ref().expect("it was compared");
    let rows = state.compare.table.rows();
    let leaves = rows.iter().filter(|row| matches!(row.item, CompareItem::Leaf(_)));
    leaves.map(|row| full_name(found, row.item)).collect()
}

#[test]
fn two_files_opened_together_are_compared_by_one_click() {
    for dark in [true, false] {
        let window = compared(dark);
        assert_eq!(window.state.borrow().page, Page::Compare);
        let kinds = [Chip::Changed, Chip::Renamed, Chip::Reshaped, Chip::DtypeChanged, Chip::OnlyLeft];
        assert_eq!(kinds.map(|chip| count(&window, chip)), [2, 1, 1, 1, 0]);
        for text in ["2 changed", "1 renamed", "1 reshaped", "1 dtype changed", "Layers that changed most"] {
            assert!(window.sees(text), "{text}");
        }
        assert!(window.state.borrow().compare.offer.is_none());
    }
}

#[test]
fn with_one_file_open_the_page_asks_for_another() {
    for dark in [true, false] {
        let mut window = opened(dark, &["fine_tune_left.pt"]);
        window.click("Compare");
        assert!(window.sees("Compare fine_tune_left.pt with …"));
        assert!(requests(&window).is_empty());
        window.click("Open another…");
        assert!(matches!(&window.effects.borrow()[..], [Effect::PickNative { folder: false }]));
        window.effects.borrow_mut().clear();
        send(&mut window, Command::OpenPaths(vec![fixture("fine_tune_right.pt")]));
        run_jobs(&mut window);
        assert_eq!(count(&window, Chip::Changed), 2, "what was opened stands on the right and is compared");
    }
}

#[test]
fn chips_show_only_their_rows_and_together_all_of_theirs() {
    let mut window = compared(true);
    window.click("List");
    let all = row_names(&window).len();
    window.click("2 changed");
    assert_eq!(row_names(&window).len(), 2);
    assert!(window.sees("2 shown"));
    window.click("1 reshaped");
    assert_eq!(row_names(&window).len(), 3);
    window.click("2 changed");
    window.click("1 reshaped");
    assert_eq!(row_names(&window).len(), all, "with none lit everything is shown");
}

#[test]
fn the_list_begins_with_what_changed_most_and_ends_with_what_is_identical() {
    let mut window = compared(true);
    window.click("List");
    let names = row_names(&window);
    let place = |part: &str| names.iter().position(|name| name.contains(part)).expect("it is listed");
    assert!(place("blocks.11.attn.weight") < place("blocks.10.attn.weight"));
    assert!(place("blocks.10.attn.weight") < place("blocks.0.attn.weight"));
    window.click("Sort by Tensor");
    let sorted = row_names(&window);
    let place = |part: &str| sorted.iter().position(|name| name.contains(part)).expect("it is listed");
    assert!(place("blocks.2.") < place("blocks.10."), "numbers count by their value");
}

#[test]
fn a_selected_pair_shows_histograms_differences_and_its_largest_changes() {
    for dark in [true, false] {
        let mut window = compared(dark);
        window.click("List");
        window.harness.get_by_label_contains("blocks.10.attn.weight").click_accesskit();
        window.harness.run_steps(4);
        run_jobs(&mut window);
        for text in [
            "Histograms of both sides",
            "Histogram of the differences",
            "Heat map of the differences",
            "Largest changes",
            "relative L2: ",
        ] {
            assert!(window.sees(text), "{text}");
        }
        window.click("Values");
        run_jobs(&mut window);
        assert_eq!(window.harness.query_all_by_label("…").count(), 0, "all values in view have been read");
        assert!(window.harness.query_all_by_label_contains(" → ").count() >= 16, "cells show both values");
    }
}

#[test]
fn swapping_exchanges_the_sides_and_compares_again() {
    let mut window = compared(true);
    let before = window.state.borrow().compare.both().expect("both are chosen");
    window.click("Swap sides");
    assert_eq!(window.state.borrow().compare.both(), Some((before.1, before.0)));
    assert!(run_jobs(&mut window) >= 1);
    assert_eq!(count(&window, Chip::Changed), 2);
    let (name, id) = {
        let state = window.state.borrow();
        let id = state.compare.side(Side::Left).expect("chosen");
        (state.session.entry(id).expect("open").name.clone(), id)
    };
    assert_eq!((name.as_str(), id), ("fine_tune_right.pt", before.1));
}

#[test]
fn a_comparison_that_is_stopped_says_so_and_goes_on_when_asked() {
    let mut window = opened(true, &["fine_tune_left.pt", "fine_tune_right.pt"]);
    window.click("Compare them");
    let key = requests(&window)
        .into_iter()
        .map(|request| request.key())
        .find(|key| matches!(key, JobKey::Compare(_)))
        .expect("a comparison was asked for");
    send(&mut window, Command::JobEnded(JobEvent { key, outcome: JobOutcome::Cancelled }));
    assert!(window.sees("The comparison was stopped"));
    assert!(requests(&window).is_empty(), "it does not begin again by itself");
    let page = window.harness.get_all_by_label("Compare").last().expect("the button below the words");
    page.click();
    window.harness.run_steps(4);
    run_jobs(&mut window);
    assert_eq!(count(&window, Chip::Changed), 2);
}

#[test]
fn what_was_found_before_a_stop_stays() {
    let mut window = opened(true, &["fine_tune_left.pt", "fine_tune_right.pt"]);
    window.click("Compare them");
    let request = requests(&window)
        .into_iter()
        .find(|request| matches!(request, JobRequest::Compare { .. }))
        .expect("a comparison was asked for");
    let parts = Mutex::new(Vec::new());
    let report = |part| parts.lock().unwrap().push(part);
    ckptscope::jobs::run::run(&request, &Progress::new(), &report);
    for part in parts.into_inner().unwrap() {
        let outcome = JobOutcome::Partial(part);
        send(&mut window, Command::JobEnded(JobEvent { key: request.key(), outcome }));
    }
    window.state.borrow_mut().jobs = vec![JobStatus {
        key: request.key(),
        label: request.label(),
        fraction: Some(0.5),
        done: 1 << 20,
        elapsed: std::time::Duration::from_secs(2),
    }];
    window.harness.run_steps(2);
    window.click("Stop comparing");
    assert!(matches!(&window.effects.borrow()[..], [.., Effect::Cancel(JobKey::Compare(_))]));
    window.effects.borrow_mut().clear();
    window.state.borrow_mut().jobs.clear();
    send(&mut window, Command::JobEnded(JobEvent { key: request.key(), outcome: JobOutcome::Cancelled }));
    assert_eq!(window.state.borrow().compare.found.as_ref().unwrap().status, CompareStatus::Stopped);
    assert!(window.sees("Stopped: "));
    window.click("Compare all");
    run_jobs(&mut window);
    assert_eq!(window.state.borrow().compare.found.as_ref().unwrap().status, CompareStatus::Done);
}

#[test]
fn a_tolerance_and_a_rule_compare_again_and_say_what_they_did() {
    let mut window = compared(true);
    let mut choices = window.state.borrow().compare.choices.clone();
    choices.absolute = 1e9;
    choices.rules = vec!["model.=>net.".to_owned()];
    send(&mut window, Command::Compare(CompareChange::Choose(choices)));
    run_jobs(&mut window);
    assert_eq!(count(&window, Chip::Changed), 0);
    window.click("Naming rules: rules · 1");
    assert!(window.sees("given, "));
    window.click("Remove");
    run_jobs(&mut window);
    assert!(window.state.borrow().compare.choices.rules.is_empty());
}

#[test]
fn metadata_that_differs_is_listed_with_both_values() {
    let mut window = compared(false);
    let entries = window.state.borrow().compare.found.as_ref().unwrap().whole().unwrap().metadata.len();
    assert!(entries > 0);
    window.click(&format!("Metadata · {entries}"));
    let first =
        window.state.borrow().compare.found.as_ref().unwrap().whole().unwrap().metadata[0].path.clone();
    assert!(window.sees(&first));
}

#[test]
fn a_model_behind_a_prefix_is_told_with_the_rule_that_loads_it() {
    for dark in [true, false] {
        let mut window = opened(dark, &["load_data_parallel.pt", "net.pt"]);
        window.click("Compare them");
        run_jobs(&mut window);
        window.click("Will it load? No");
        for text in
            ["No: load_state_dict(strict=True) would refuse it", "Renaming would make it load", "Missing: "]
        {
            assert!(window.sees(text), "{text}");
        }
        window.click("Use in the comparison");
        run_jobs(&mut window);
        let state = window.state.borrow();
        assert_eq!(state.compare.choices.rules.len(), 1);
        let rules = &state.compare.found.as_ref().unwrap().pairing().rules;
        assert!(rules.iter().any(|rule| !rule.found && rule.matched > 0));
    }
}

#[test]
fn a_report_is_saved_where_the_user_says() {
    let mut window = compared(true);
    send(&mut window, Command::Compare(CompareChange::SaveReport(ReportFormat::Html)));
    let asked = window.effects.borrow_mut().drain(..).collect::<Vec<_>>();
    let name = match &asked[..] {
        [Effect::PickReport { name, format: ReportFormat::Html }] => name.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(name, "fine_tune_left vs fine_tune_right.html");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.csv");
    send(&mut window, Command::Compare(CompareChange::SaveReportTo(ReportFormat::Html, path.clone())));
    run_jobs(&mut window);
    assert!(window.sees("Saved "));
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.lines().count() > 30, "the ending of the name decides: one row per pair");
}

#[test]
fn without_native_dialogs_the_report_asks_for_a_path() {
    let mut window = compared(true);
    window.state.borrow_mut().dialogs = Dialogs::Missing;
    send(&mut window, Command::Compare(CompareChange::SaveReport(ReportFormat::Json)));
    assert!(window.sees("Save report"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json").to_string_lossy().into_owned();
    send(&mut window, Command::EditPath(path.clone()));
    window.click("Save");
    run_jobs(&mut window);
    assert!(Path::new(&path).exists());
}

#[test]
fn closing_a_side_leaves_the_other_and_asks_again() {
    let mut window = compared(true);
    let (left, _) = window.state.borrow().compare.both().unwrap();
    send(&mut window, Command::Close(left));
    assert!(window.state.borrow().compare.found.is_none());
    assert!(window.sees("Compare fine_tune_right.pt with …"));
}
