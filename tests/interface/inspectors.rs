//! The inspectors in each of their states, and stories told by clicking labels.

use ckptscope::analysis::scan::TensorStatistics;
use ckptscope::analysis::spectrum::{Method, Spectrum};
use ckptscope::jobs::{JobRequest, Look, LookKey};

use super::*;

/// Runs the jobs that the window asks for, as the program's threads would, until none are left.
pub fn run_jobs(window: &mut Window) -> usize {
    let mut ran = 0;
    loop {
        let requests: Vec<JobRequest> = window
            .effects
            .borrow_mut()
            .drain(..)
            .filter_map(|effect| match effect {
                Effect::Submit(request) => Some(request),
                _ => None,
            })
            .collect();
        if requests.is_empty() {
            return ran;
        }
        for request in requests {
            ran += 1;
            let outcome = ckptscope::jobs::run::run(&request, &Progress::new(), &|_| {});
            let event = JobEvent { key: request.key(), outcome };
            let effects = apply(Command::JobEnded(event), &mut window.state.borrow_mut());
            window.effects.borrow_mut().extend(effects);
        }
        window.harness.run_steps(4);
    }
}

/// A window over an embedded example, with every job done.
fn example(dark: bool) -> Window {
    let mut window = window(dark, |_| {});
    window.click("small_resnet.safetensors");
    run_jobs(&mut window);
    window
}

fn select(window: &mut Window, name: &str) {
    let item = {
        let state = window.state.borrow();
        let entry = state.session.current().expect("a checkpoint is open");
        let checkpoint = entry.checkpoint.value().expect("it was read");
        Item::Tensor(checkpoint.find(name).expect("it holds the tensor"))
    };
    let effects = apply(Command::TreeCurrent(TreeChange::Select(Some(item))), &mut window.state.borrow_mut());
    window.effects.borrow_mut().extend(effects);
    window.harness.run_steps(4);
    run_jobs(window);
}

#[test]
fn a_tensor_is_seen_as_histogram_heat_map_values_and_norms() {
    for dark in [true, false] {
        let mut window = example(dark);
        select(&mut window, "head.weight");
        for text in ["Histogram", "Heat map of the values", "kurtosis: ", "Colours span"] {
            assert!(window.sees(text), "{text}");
        }
        window.click("Values");
        run_jobs(&mut window);
        let unread = window.harness.query_all_by_label("…").count();
        assert_eq!(unread, 0, "all values in view have been read");
        assert!(window.sees("Copy"));
        window.click("Norms");
        run_jobs(&mut window);
        for text in ["Rows", "Columns", "L2 norm of each row"] {
            assert!(window.sees(text), "{text}");
        }
        window.click("Spectrum");
        assert_eq!(run_jobs(&mut window), 0, "a spectrum takes long: it waits to be asked for");
        assert!(window.sees("Compute spectrum"));
    }
}

#[test]
fn a_look_that_fails_says_why_and_is_not_repeated_by_itself() {
    let mut window = example(true);
    window.click("head");
    select(&mut window, "head.weight");
    window.click("Norms");
    let key = look_key(&window);
    let failed = JobOutcome::Failed(JobError::new("The disk is gone.", None));
    window.effects.borrow_mut().clear();
    end(&mut window.state.borrow_mut(), JobKey::Look(key), failed);
    window.harness.run_steps(6);
    assert!(window.sees("The disk is gone."));
    assert!(window.effects.borrow().is_empty());
    window.click("Retry");
    assert_eq!(run_jobs(&mut window), 1);
    assert!(window.sees("L2 norm of each row"));
}

fn look_key(window: &Window) -> LookKey {
    let effects = window.effects.borrow();
    let mut looks = effects.iter().filter_map(|effect| match effect {
        Effect::Submit(JobRequest::Look { key, .. }) => Some(key.clone()),
        _ => None,
    });
    looks.next_back().expect("a look was asked for")
}

#[test]
fn a_spectrum_that_was_asked_for_is_shown() {
    let mut window = example(true);
    select(&mut window, "head.weight");
    window.click("Spectrum");
    window.click("Compute spectrum");
    let key = look_key(&window);
    let spectrum = Spectrum {
        rows: 10,
        columns: 24,
        singular_values: vec![4.0, 2.0, 1.0, 0.5],
        method: Method::Exact,
        frobenius_norm: 4.6,
        spectral_norm: 4.0,
        stable_rank: 1.3,
        effective_rank: Some(2.8),
        condition: Some(8.0),
        power_law: None,
    };
    let looked = JobOutput::Looked(Arc::new(ckptscope::jobs::Looked::Spectrum(spectrum)));
    end(&mut window.state.borrow_mut(), JobKey::Look(key), JobOutcome::Finished(looked));
    window.harness.run_steps(4);
    for text in ["spectral norm: 4", "stable rank: 1.3", "Singular values of"] {
        assert!(window.sees(text), "{text}");
    }
}

#[test]
fn a_layer_shows_what_is_inside_and_the_statistics_of_its_tensors() {
    for dark in [true, false] {
        let mut window = example(dark);
        window.click("head");
        run_jobs(&mut window);
        assert!(window.sees("Area of weight"));
        window.click("Tensors (2)");
        assert!(window.sees("Statistics of head.weight"));
        window.click("Order by Max");
        // The row's middle lies beyond the panel's edge, where no pointer reaches it.
        window.harness.get_by_label("Statistics of head.weight").click_accesskit();
        window.harness.run_steps(4);
        let name = {
            let state = window.state.borrow();
            let entry = state.session.current().unwrap();
            ckptscope::state::tree::full_name(
                entry.checkpoint.value().unwrap(),
                entry.tree.selected().unwrap(),
            )
        };
        assert_eq!(name, "head.weight");
    }
}

#[test]
fn a_scan_makes_the_health_and_the_filter_by_values() {
    let mut window = window(true, |state| {
        ready(state);
        let id = state.session.current().unwrap().id;
        let of = |values: &[f32]| {
            let mut builder = StatisticsBuilder::new(&Dtype::Float32);
            builder.push(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
            Ok(TensorStatistics { statistics: builder.finish().0, dead: None })
        };
        let portion = vec![
            (TensorId(0), of(&[1.0, f32::NAN])),
            (TensorId(1), of(&[1.0, 2.0])),
            (TensorId(2), of(&[0.0, 0.0])),
            (TensorId(3), Err("The file ends early".to_owned())),
        ];
        end(state, JobKey::Scan(id), JobOutcome::Finished(JobOutput::Scanned(portion)));
    });
    assert!(window.sees("Health"));
    assert!(
        window.sees("Unreadable"),
        "{:?}",
        window.state.borrow().session.current().unwrap().scan.verdict()
    );
    window.click("Choose values");
    window.click("has NaN  (1)");
    assert!(window.sees("1 found"));
    let rows = window.state.borrow().session.current().unwrap().tree.rows().to_vec();
    assert_eq!(rows.last().map(|row| row.item), Some(Item::Tensor(TensorId(0))));
}

#[test]
fn a_chosen_statistic_is_a_column_that_sorts() {
    let mut window = example(true);
    window.click("Choose columns");
    window.click("Max");
    window.harness.key_press(egui::Key::Escape);
    window.harness.run_steps(4);
    window.click("Sort by Max");
    let state = window.state.borrow();
    let sort = state.session.current().unwrap().tree.sort();
    assert_eq!(sort, (SortColumn::Statistic(Statistic::Max), true));
}

#[test]
fn the_other_checkpoints_of_a_series_are_offered() {
    let mut window = window(true, |state| {
        let key = opening(state);
        let series = vec![PathBuf::from("/models/small_2.safetensors")];
        let around = Surroundings { identity: None, series };
        end(state, key, JobOutcome::Finished(JobOutput::Opened(checkpoint(), around)));
    });
    window.click("small_2.safetensors");
    assert_eq!(window.state.borrow().session.entries.len(), 2);
}

#[test]
fn a_file_that_is_opened_again_unchanged_is_not_scanned_again() {
    let mut state = AppState::default();
    for round in 0..2 {
        let key = opening(&mut state);
        let around = Surroundings { identity: Some(7), series: Vec::new() };
        let effects = apply(
            Command::JobEnded(JobEvent {
                key,
                outcome: JobOutcome::Finished(JobOutput::Opened(checkpoint(), around)),
            }),
            &mut state,
        );
        let scans = effects.iter().filter(|effect| matches!(effect, Effect::Submit(JobRequest::Scan { .. })));
        assert_eq!(scans.count(), usize::from(round == 0));
        let id = state.session.current().unwrap().id;
        end(&mut state, JobKey::Scan(id), JobOutcome::Finished(JobOutput::Scanned(Vec::new())));
        apply(Command::CloseCurrent, &mut state);
    }
}

/// The planes of the pictures that were asked for since the last time, in order.
fn pictures(window: &Window) -> Vec<Look> {
    let mut effects = window.effects.borrow_mut();
    let looks = effects.drain(..).filter_map(|effect| match effect {
        Effect::Submit(JobRequest::Look { key, .. }) => Some(key.look),
        _ => None,
    });
    looks.collect()
}

#[test]
fn a_heat_map_is_zoomed_and_moved_by_keys() {
    let mut window = example(true);
    select(&mut window, "head.weight");
    window.harness.get_by_label("Heat map of the values").focus();
    window.harness.run_steps(2);
    window.effects.borrow_mut().clear();
    let mut press = |key| {
        window.harness.key_press(key);
        window.harness.run_steps(4);
        let looks = pictures(&window);
        let Some(Look::Picture(plane, ..)) = looks.last() else {
            panic!("no picture after {key:?}: {looks:?}")
        };
        (plane.rows.clone(), plane.columns.clone())
    };
    assert_eq!(press(egui::Key::Plus), (2..8, 6..18), "ten rows and 24 columns, about the middle");
    assert_eq!(press(egui::Key::ArrowRight), (2..8, 9..21));
    assert_eq!(press(egui::Key::ArrowUp), (1..7, 9..21));
    // What was seen before is remembered: the whole is not read again.
    window.harness.key_press(egui::Key::Num0);
    window.harness.run_steps(4);
    assert!(pictures(&window).is_empty());
    assert!(window.sees("10 × 24 values"));
}

#[test]
fn more_kernels_than_fit_are_reached_step_by_step() {
    let mut window = window(true, |state| {
        let key = opening(state);
        let around = Surroundings::default();
        let opened = JobOutput::Opened(one("conv.weight", vec![64, 40, 3, 3]), around);
        end(state, key, JobOutcome::Finished(opened));
        apply(Command::TreeCurrent(TreeChange::Select(Some(Item::Tensor(TensorId(0))))), state);
        let key = ckptscope::state::statistics_key(state).unwrap();
        end(state, JobKey::Statistics(key), JobOutcome::Finished(JobOutput::Summarised(summary())));
    });
    assert!(window.sees("outputs 0–23 of 64"));
    assert!(window.sees("inputs 0–23 of 40"));
    window.effects.borrow_mut().clear();
    window.click("Next outputs");
    assert!(window.sees("outputs 24–47 of 64"));
    assert!(matches!(&pictures(&window)[..], [Look::Kernels(kernels)] if kernels.columns == (24..48)));
    window.click("Next outputs");
    assert!(window.sees("outputs 40–63 of 64"), "the last step ends with the last one");
    window.click("Slice");
    assert!(matches!(&pictures(&window)[..], [.., Look::Picture(..)]));
}

/// A checkpoint of one tensor.
fn one(name: &str, dims: Vec<u64>) -> Arc<Checkpoint> {
    let shape = Shape::from(dims);
    let bytes = shape.elements() * 4;
    let parts = CheckpointParts {
        format: "safetensors",
        framework: None,
        tensors: vec![TensorInfo::new(name, Dtype::Float32, shape, bytes)],
        layers: Vec::new(),
        metadata: Value::Map(Vec::new()),
        problems: Vec::new(),
        file_bytes: bytes,
        counts_known: true,
        versioned_modules: Vec::new(),
        python_types: ckptscope::model::PythonTypes::default(),
        reader: Box::new(Zeros),
    };
    Arc::new(Checkpoint::new(Path::new("/models/small.safetensors"), parts))
}

#[test]
fn every_card_is_copied_as_text_and_as_python() {
    let mut window = example(true);
    select(&mut window, "head.weight");
    let mut copied = |what: &str, kind: &str| {
        window.effects.borrow_mut().clear();
        window.click(&format!("Copy or save the {what}"));
        window.click(kind);
        let effects = window.effects.borrow();
        let text = effects.iter().find_map(|effect| match effect {
            Effect::CopyText(text) => Some(text.clone()),
            _ => None,
        });
        text.unwrap_or_else(|| panic!("nothing was copied: {what}, {kind}"))
    };
    assert!(copied("statistics", "Copy as text").contains("min\t"));
    assert!(copied("statistics", "Copy as Python").contains("np.isfinite(values)"));
    assert!(copied("histogram", "Copy as text").starts_with("from\tto\tcount\n"));
    assert!(copied("histogram", "Copy as Python").contains("np.histogram"));
    assert_eq!(copied("heat map", "Copy as text").lines().count(), 10);
    let python = copied("heat map", "Copy as Python");
    assert!(python.contains("f.get_tensor(\"head.weight\")") && python.contains("values[:, :]"), "{python}");
}

#[test]
fn the_words_over_a_histogram_open_its_choices() {
    let mut window = example(true);
    select(&mut window, "head.weight");
    window.click("Bins of the histogram: 64 bins · linear counts · all values");
    window.click("Bins: 128");
    window.click("Counts: logarithmic");
    window.click("Range: 1–99 %");
    assert!(window.sees("128 bins · log counts · 1–99 %"));
}

#[test]
fn a_finding_says_why_it_matters_and_leads_to_its_tensor() {
    let mut window = window(true, |state| {
        ready(state);
        let id = state.session.current().unwrap().id;
        let found = |values: &[f32]| {
            let mut builder = StatisticsBuilder::new(&Dtype::Float32);
            builder.push(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
            Ok(TensorStatistics { statistics: builder.finish().0, dead: None })
        };
        let portion =
            (0..4).map(|id| (TensorId(id), found(if id == 3 { &[1.0, f32::NAN] } else { &[1.0, 2.0] })));
        let portion = portion.collect();
        end(state, JobKey::Scan(id), JobOutcome::Finished(JobOutput::Scanned(portion)));
    });
    assert!(window.sees("One NaN spreads through every layer behind it"));
    window.click("Show only these in the tree");
    assert!(window.sees("1 found"));
    window.click("Show head.weight");
    let selected = window.state.borrow().session.current().unwrap().tree.selected();
    assert_eq!(selected, Some(Item::Tensor(TensorId(3))));
}

#[test]
fn a_layer_of_the_summary_leads_to_its_tensors() {
    let mut window = example(true);
    window.click("Layers");
    run_jobs(&mut window);
    window.click("Layer head");
    let state = window.state.borrow();
    let entry = state.session.current().unwrap();
    let selected = entry.tree.selected().unwrap();
    assert_eq!(ckptscope::state::tree::full_name(entry.checkpoint.value().unwrap(), selected), "head");
}
