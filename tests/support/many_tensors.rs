//! A checkpoint of 100,000 tensors in memory, and a window without a screen that counts and times its frames.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ckptscope::analysis::StatisticsBuilder;
use ckptscope::analysis::diff::{Comparison, DiffTree, PairDiff, PairValues, ValueDiff};
use ckptscope::analysis::pairing::{Pairing, PairingOptions};
use ckptscope::analysis::scan::TensorStatistics;
use ckptscope::jobs::curves::Gathered;
use ckptscope::jobs::{
    Compared, JobEvent, JobKey, JobOutcome, JobOutput, JobRequest, ScannedTensor, Surroundings,
};
use ckptscope::model::{
    Checkpoint, CheckpointParts, Dtype, Progress, PythonTypes, ReadError, Shape, TensorId, TensorInfo,
    TensorReader, TensorRole, Value,
};
use ckptscope::state::compare::PairsChange;
use ckptscope::state::{AppState, Command, CompareChange, CurvesChange, Effect, Item, TreeChange, apply};
use ckptscope::ui::theme::Themes;
use ckptscope::ui::{CommandQueue, ViewContext, Views};

struct Nothing;

impl TensorReader for Nothing {
    fn read_chunks(
        &self,
        _id: TensorId,
        _progress: &Progress,
        _sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        Ok(())
    }
}

/// `count` tensors in layers of eight.
pub fn checkpoint(count: usize) -> Arc<Checkpoint> {
    let tensors = (0..count).map(|index| {
        let name = format!("model.layers.{}.block.{}.weight", index / 8, index % 8);
        let mut info = TensorInfo::new(name, Dtype::Float32, Shape::from(vec![64, 64]), 64 * 64 * 4);
        info.role = TensorRole::Parameter;
        info
    });
    let parts = CheckpointParts {
        format: "safetensors",
        framework: None,
        tensors: tensors.collect(),
        layers: Vec::new(),
        metadata: Value::Map(Vec::new()),
        problems: Vec::new(),
        file_bytes: 1 << 30,
        counts_known: true,
        versioned_modules: Vec::new(),
        python_types: PythonTypes::default(),
        reader: Box::new(Nothing),
    };
    Arc::new(Checkpoint::new(Path::new("/models/many.safetensors"), parts))
}

/// The same tensors on both sides, each third of them changed.
fn comparison(left: &Checkpoint, right: &Checkpoint) -> Compared {
    let pairing = Pairing::of(left, right, &PairingOptions::default());
    let pairs: Vec<PairDiff> = pairing
        .pairs
        .iter()
        .enumerate()
        .map(|(index, pair)| {
            let changed = if index % 3 == 0 { 4096 } else { 0 };
            let l2 = if changed > 0 { (index * 7919 % 1000) as f64 / 1000.0 + 1e-3 } else { 0.0 };
            let values =
                ValueDiff { elements: 4096, changed, l2, l2_left: 1.0, max_abs: l2, ..ValueDiff::default() };
            PairDiff::new(left, right, pair, PairValues::Numbers(Box::new(values)))
        })
        .collect();
    let comparison = Comparison { pairing, pairs, metadata: Vec::new() };
    let tree = DiffTree::of(left, right, &comparison);
    Compared { comparison, tree, ..Compared::default() }
}

/// The window's state and views, run by hand.
pub struct Frames {
    /// What the program knows.
    pub state: AppState,
    views: Views,
    themes: Themes,
    commands: CommandQueue,
    ctx: egui::Context,
    time: f64,
    /// What the window prepares in the background: only the newest of each purpose, as the program's threads have it.
    waiting: Vec<JobRequest>,
    /// What was prepared since the last frame.
    ended: Vec<JobEvent>,
}

impl Frames {
    /// A window that shows a checkpoint of that many tensors, scanned.
    pub fn new(tensors: usize) -> Self {
        let ctx = egui::Context::default();
        let themes = Themes::load();
        themes.install(&ctx);
        ctx.set_theme(egui::ThemePreference::Dark);
        let mut frames = Self {
            state: AppState::default(),
            views: Views::default(),
            themes,
            commands: CommandQueue::default(),
            ctx,
            time: 0.0,
            waiting: Vec::new(),
            ended: Vec::new(),
        };
        let checkpoint = checkpoint(tensors);
        checkpoint.layer_tree();
        frames.command(Command::OpenPaths(vec![PathBuf::from("/models/many.safetensors")]));
        let id = frames.state.session.current().expect("it was just opened").id;
        let opened = JobOutput::Opened(checkpoint.clone(), Surroundings::default());
        frames.end(JobKey::Open(id), JobOutcome::Finished(opened));
        let portion: Vec<ScannedTensor> =
            checkpoint.tensors().map(|(id, _)| (id, Ok(found(id.0 as f32)))).collect();
        frames.end(JobKey::Scan(id), JobOutcome::Finished(JobOutput::Scanned(portion)));
        for _ in 0..4 {
            frames.frame(Vec::new()); // fonts and layout settle
        }
        frames
    }

    /// A window that shows the comparison of two checkpoints of that many tensors; also how long it took to take it in.
    pub fn comparing(tensors: usize) -> (Self, Duration) {
        let mut frames = Self::new(tensors);
        let left = frames.state.session.current().expect("one is open").id;
        frames.command(Command::OpenPaths(vec![PathBuf::from("/models/other.safetensors")]));
        let right = frames.state.session.current().expect("it was just opened").id;
        let other = checkpoint(tensors);
        other.layer_tree();
        let opened = JobOutput::Opened(other.clone(), Surroundings::default());
        frames.end(JobKey::Open(right), JobOutcome::Finished(opened));
        frames.command(Command::Compare(CompareChange::Between(left, right)));
        let key = frames.state.compare.asked.as_ref().expect("a comparison was asked for").key;
        let first = frames.state.session.entry(left).and_then(|entry| entry.checkpoint.value()).cloned();
        let compared = Arc::new(comparison(&first.expect("it is open"), &other));
        let start = Instant::now();
        frames.end(JobKey::Compare(key), JobOutcome::Finished(JobOutput::Compared(compared)));
        let taken_in = start.elapsed();
        for _ in 0..4 {
            frames.frame(Vec::new());
        }
        (frames, taken_in)
    }

    /// A window that shows these curves; also how long it took to take them in.
    pub fn drawing(gathered: Gathered) -> (Self, Duration) {
        let mut frames = Self::new(8);
        frames.command(Command::Curves(CurvesChange::Load(vec![PathBuf::from("/runs/long")])));
        let key = JobKey::Curves(frames.state.curves.serial);
        let start = Instant::now();
        frames.end(key, JobOutcome::Finished(JobOutput::Gathered(Arc::new(gathered))));
        let taken_in = start.elapsed();
        for _ in 0..4 {
            frames.frame(Vec::new());
        }
        (frames, taken_in)
    }

    /// Changes how curves are drawn, as a slider or a box does.
    pub fn change_curves(&mut self, change: CurvesChange) {
        self.command(Command::Curves(change));
    }

    /// Changes the table of pairs, as a click or a key does.
    pub fn change_pairs(&mut self, change: PairsChange) {
        self.command(Command::Compare(CompareChange::Pairs(change)));
    }

    fn end(&mut self, key: JobKey, outcome: JobOutcome) {
        self.command(Command::JobEnded(JobEvent { key, outcome }));
    }

    /// Carries out a command; work for the background waits until the frame is over.
    pub fn command(&mut self, command: Command) {
        for effect in apply(command, &mut self.state) {
            if let Effect::Submit(request @ JobRequest::Prepare { .. }) = effect {
                self.waiting.retain(|other| other.key() != request.key());
                self.waiting.push(request);
            }
        }
    }

    /// What threads do between frames: prepares what waits.
    fn background(&mut self) {
        for request in self.waiting.drain(..) {
            let outcome = ckptscope::jobs::run::run(&request, &Progress::new(), &|_| {});
            self.ended.push(JobEvent { key: request.key(), outcome });
        }
    }

    /// Clicks the tab of that name, in the next two frames.
    pub fn open_tab(&mut self, label: &str) {
        self.ctx.enable_accesskit();
        let mut found = None;
        for _ in 0..2 {
            let output = self.run(Vec::new());
            let nodes =
                output.platform_output.accesskit_update.map(|update| update.nodes).unwrap_or_default();
            found = nodes
                .iter()
                .find(|(_, node)| node.role() == egui::accesskit::Role::Tab && node.label() == Some(label))
                .and_then(|(_, node)| node.bounds())
                .or(found);
        }
        self.ctx.disable_accesskit();
        let place = found.unwrap_or_else(|| panic!("there is no tab {label}"));
        let pos = egui::pos2((place.x0 + place.x1) as f32 / 2.0, (place.y0 + place.y1) as f32 / 2.0);
        for pressed in [true, false] {
            let button = egui::PointerButton::Primary;
            let modifiers = egui::Modifiers::NONE;
            let click = egui::Event::PointerButton { pos, button, pressed, modifiers };
            self.frame(vec![egui::Event::PointerMoved(pos), click]);
        }
    }

    fn run(&mut self, events: Vec<egui::Event>) -> egui::FullOutput {
        self.time += 1.0 / 60.0;
        let size = egui::vec2(1280.0, 800.0);
        let input = egui::RawInput {
            screen_rect: Some(egui::Rect::from_min_size(egui::Pos2::ZERO, size)),
            time: Some(self.time),
            events,
            ..egui::RawInput::default()
        };
        let (state, views, commands) = (&self.state, &mut self.views, &self.commands);
        let context = ViewContext { state, theme: &self.themes.dark, commands };
        self.ctx.run_ui(input, |ui| views.ui(ui, &context))
    }

    /// One frame with these events, and how long it took: what was prepared, views, commands and tessellation.
    pub fn frame(&mut self, events: Vec<egui::Event>) -> Duration {
        let start = Instant::now();
        for event in std::mem::take(&mut self.ended) {
            self.command(Command::JobEnded(event));
        }
        let mut output = self.run(events);
        for command in self.commands.drain() {
            self.command(command);
        }
        let _ = self.ctx.tessellate(output.shapes, output.pixels_per_point);
        // Nothing is painted here.
        output.textures_delta.clear();
        let time = start.elapsed();
        self.background();
        time
    }

    /// Changes the tree, as a click or a key does.
    pub fn change(&mut self, change: TreeChange) {
        self.command(Command::TreeCurrent(change));
    }

    /// Selects a tensor.
    pub fn select(&mut self, tensor: u32) {
        self.change(TreeChange::Select(Some(Item::Tensor(TensorId(tensor)))));
    }

    /// The first group of some level, by its number in the tree.
    pub fn group(node: u32) -> Item {
        Item::Group(ckptscope::model::NodeId(node))
    }

    /// How often the rows were made anew.
    pub fn rebuilds(&self) -> u64 {
        self.state.session.current().expect("one is open").tree.rebuilds()
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.state.session.current().expect("one is open").tree.rows().len()
    }
}

fn found(value: f32) -> TensorStatistics {
    let mut builder = StatisticsBuilder::new(&Dtype::Float32);
    builder.push(&[value, -value, value * 0.5].map(f32::to_le_bytes).concat());
    TensorStatistics { statistics: builder.finish().0, dead: None }
}

/// The wheel over the tree.
pub fn wheel(rows: f32) -> Vec<egui::Event> {
    vec![
        egui::Event::PointerMoved(egui::pos2(400.0, 400.0)),
        egui::Event::MouseWheel {
            unit: egui::MouseWheelUnit::Point,
            delta: egui::vec2(0.0, -24.0 * rows),
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Wheel,
            modifiers: egui::Modifiers::NONE,
        },
    ]
}
