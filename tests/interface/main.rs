//! The window without a screen: views in each of their states, in both themes, and stories told by clicking labels.
//!
//! No renderer is needed: widgets are found by their accessible names, which every widget must have.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod compare;
mod curves;
mod export;
mod inspectors;
mod many;
mod safety;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use ckptscope::analysis::StatisticsBuilder;
use ckptscope::jobs::{JobError, JobEvent, JobKey, JobOutcome, JobOutput, Surroundings, ValueSummary};
use ckptscope::model::{
    Checkpoint, CheckpointParts, Dtype, Problem, Progress, PythonTypes, ReadError, Shape, TensorId,
    TensorInfo, TensorReader, TensorRole, Value,
};
use ckptscope::state::{AppState, Command, Effect, Item, Page, SortColumn, Statistic, TreeChange, apply};
use ckptscope::ui::theme::Themes;
use ckptscope::ui::{CommandQueue, ViewContext, Views};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;

struct Zeros;

impl TensorReader for Zeros {
    fn read_chunks(
        &self,
        _id: TensorId,
        _progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let _ = sink(&[0; 16]);
        Ok(())
    }
}

fn checkpoint() -> Arc<Checkpoint> {
    let tensor = |name: &str, role, dims: Vec<u64>| {
        let shape = Shape::from(dims);
        let bytes = shape.elements() * 4;
        let mut info = TensorInfo::new(name, Dtype::Float32, shape, bytes);
        info.role = role;
        info
    };
    let parts = CheckpointParts {
        format: "safetensors",
        framework: Some("torch 2.1".to_owned()),
        tensors: vec![
            tensor("encoder.conv.weight", TensorRole::Parameter, vec![16, 3, 3, 3]),
            tensor("encoder.conv.bias", TensorRole::Parameter, vec![16]),
            tensor("encoder.norm.running_mean", TensorRole::Buffer, vec![16]),
            tensor("head.weight", TensorRole::Parameter, vec![10, 16]),
        ],
        layers: Vec::new(),
        metadata: Value::Map(vec![
            ("epoch".to_owned(), Value::Int(3)),
            ("config".to_owned(), Value::Map(vec![("optimizer".to_owned(), Value::Text("adam".to_owned()))])),
        ]),
        problems: vec![Problem::warning("test", "Something is odd with this file")],
        file_bytes: 4096,
        counts_known: true,
        versioned_modules: Vec::new(),
        python_types: PythonTypes::default(),
        reader: Box::new(Zeros),
    };
    Arc::new(Checkpoint::new(Path::new("/models/small.safetensors"), parts))
}

/// A window with its state, as the program runs it but without jobs: effects are kept for the test to look at.
struct Window {
    harness: Harness<'static>,
    state: Rc<RefCell<AppState>>,
    effects: Rc<RefCell<Vec<Effect>>>,
}

fn window(dark: bool, prepare: impl FnOnce(&mut AppState)) -> Window {
    let mut start = AppState::default();
    prepare(&mut start);
    let state = Rc::new(RefCell::new(start));
    let effects = Rc::new(RefCell::new(Vec::new()));
    let (shared, kept) = (state.clone(), effects.clone());
    let (themes, commands, mut views) = (Themes::load(), CommandQueue::default(), Views::default());
    let mut installed = false;
    let harness = Harness::builder().with_size(egui::vec2(1280.0, 800.0)).build_ui(move |ui| {
        if !installed {
            installed = true;
            themes.install(ui.ctx());
            ui.ctx().set_theme(if dark { egui::ThemePreference::Dark } else { egui::ThemePreference::Light });
            ui.ctx().request_repaint();
            return; // fonts are there from the next frame on
        }
        {
            let state = shared.borrow();
            let theme = if dark { &themes.dark } else { &themes.light };
            views.ui(ui, &ViewContext { state: &state, theme, commands: &commands });
        }
        for command in commands.drain() {
            let effects = apply(command, &mut shared.borrow_mut());
            kept.borrow_mut().extend(effects);
            ui.ctx().request_repaint();
        }
    });
    let mut window = Window { harness, state, effects };
    window.harness.run_steps(4);
    window
}

impl Window {
    fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.harness.run_steps(4);
    }

    fn sees(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }
}

fn opening(state: &mut AppState) -> JobKey {
    apply(Command::OpenPaths(vec![PathBuf::from("/models/small.safetensors")]), state);
    JobKey::Open(state.session.current().expect("it was just opened").id)
}

fn ready(state: &mut AppState) {
    let key = opening(state);
    end(state, key, JobOutcome::Finished(JobOutput::Opened(checkpoint(), Surroundings::default())));
}

fn end(state: &mut AppState, key: JobKey, outcome: JobOutcome) {
    apply(Command::JobEnded(JobEvent { key, outcome }), state);
}

fn summary() -> Arc<ValueSummary> {
    let mut builder = StatisticsBuilder::new(&Dtype::Float32);
    let bytes: Vec<u8> = (0..100).flat_map(|value| (value as f32).to_le_bytes()).collect();
    builder.push(&bytes);
    let (statistics, values) = builder.finish();
    Arc::new(ValueSummary { statistics, values, tensors: 1, left_out: Vec::new() })
}

#[test]
fn an_empty_window_offers_to_open_something() {
    for dark in [true, false] {
        let mut window = window(dark, |_| {});
        assert!(window.sees("drop files here"));
        window.click("small_resnet.safetensors");
        assert!(matches!(&window.effects.borrow()[..], [Effect::Submit(_)]));
    }
}

#[test]
fn a_slow_opening_says_so_and_can_be_cancelled() {
    for dark in [true, false] {
        let mut window = window(dark, |state| {
            opening(state);
        });
        std::thread::sleep(std::time::Duration::from_millis(110));
        window.harness.run_steps(2);
        assert!(window.sees("Opening small.safetensors"));
        window.click("Cancel");
        assert!(matches!(&window.effects.borrow()[..], [Effect::Cancel(JobKey::Open(_))]));
    }
}

#[test]
fn a_failed_opening_says_why_and_offers_to_retry() {
    for dark in [true, false] {
        let mut window = window(dark, |state| {
            let key = opening(state);
            end(
                state,
                key,
                JobOutcome::Failed(JobError::new("The header is cut off.", Some("Download it again"))),
            );
        });
        assert!(window.sees("The header is cut off."));
        assert!(window.sees("Download it again"));
        window.click("Retry");
        assert!(window.effects.borrow().iter().any(|effect| matches!(effect, Effect::Submit(_))));
    }
}

#[test]
fn a_ready_checkpoint_shows_its_tree_and_summary() {
    for dark in [true, false] {
        let window = window(dark, ready);
        for text in
            ["encoder", "running_mean", "4 tensors", "Something is odd with this file", "Bytes by dtype"]
        {
            assert!(window.sees(text), "{text}");
        }
    }
}

#[test]
fn clicking_a_tensor_asks_for_its_values_and_shows_them() {
    for dark in [true, false] {
        let mut window = window(dark, ready);
        window.click("running_mean");
        let selected = window.state.borrow().session.current().unwrap().tree.selected();
        assert_eq!(selected, Some(Item::Tensor(TensorId(2))));
        assert!(window.effects.borrow().iter().any(|effect| matches!(effect, Effect::Submit(_))));
        let key = ckptscope::state::statistics_key(&window.state.borrow()).unwrap();
        let done = JobOutcome::Finished(JobOutput::Summarised(summary()));
        end(&mut window.state.borrow_mut(), JobKey::Statistics(key), done);
        window.harness.run_steps(3);
        assert!(window.sees("Histogram"));
        assert!(window.sees("min: "));
    }
}

#[test]
fn values_that_cannot_be_read_say_why() {
    let mut window = window(true, ready);
    window.click("running_mean");
    let key = ckptscope::state::statistics_key(&window.state.borrow()).unwrap();
    let failed = JobOutcome::Failed(JobError::new("The storage is missing.", None));
    end(&mut window.state.borrow_mut(), JobKey::Statistics(key), failed);
    window.harness.run_steps(3);
    assert!(window.sees("The storage is missing."));
}

#[test]
fn typing_a_filter_leaves_only_what_passes() {
    let mut window = window(true, ready);
    window.harness.get_by_label("Filter names").focus();
    window.harness.run_steps(2);
    window.harness.get_by_label("Filter names").type_text("*.bias");
    window.harness.run_steps(4);
    assert!(window.sees("bias"));
    assert!(!window.sees("running_mean"));
    assert!(window.sees("1 found"));
}

#[test]
fn the_metadata_page_shows_values_and_finds_them() {
    for dark in [true, false] {
        let mut window = window(dark, ready);
        window.click("Metadata");
        assert_eq!(window.state.borrow().page, Page::Metadata);
        assert!(window.sees("epoch: 3"));
        assert!(window.sees("optimizer: adam"));
        window.click("epoch: 3");
        window.click("Copy all as JSON");
        let effects = window.effects.borrow();
        assert!(
            effects
                .iter()
                .any(|effect| matches!(effect, Effect::CopyText(text) if text.contains("\"epoch\": 3")))
        );
    }
}

#[test]
fn without_native_dialogs_a_path_can_be_typed() {
    let mut window = window(true, |state| {
        apply(Command::DialogsChecked(false), state);
    });
    window.click("Open file…");
    assert!(window.sees("no file dialog"));
    window.click("Cancel");
    assert!(window.state.borrow().path_dialog.is_none());
}
