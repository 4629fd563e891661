//! The program with a window: connects jobs, state and views.
//!
//! Each frame takes in what jobs brought, draws, and then carries out the commands that views sent.

mod effects;
mod exporting;
mod input;
mod persistence;
mod pictures;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::jobs::JobRunner;
use crate::jobs::watch::{FileWatch, Watched};
use crate::state::{AppState, Command, CurvesChange, apply};
use crate::ui::theme::Themes;
use crate::ui::{CommandQueue, ViewContext, Views};

/// Identifies the program to the desktop; also names the folder of its settings.
const APP_ID: &str = "ckptscope";

/// Opens the window and returns when it closes. The error is a sentence for the terminal.
pub fn run(paths: Vec<PathBuf>) -> Result<(), String> {
    let icon = eframe::icon_data::from_png_bytes(include_bytes!("../../assets/app_icon/ckptscope-128.png"))
        .map_err(|error| format!("The embedded icon is broken: {error}"))?;
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("Ckptscope")
            .with_app_id(APP_ID)
            .with_inner_size([1280.0, 800.0])
            .with_min_inner_size([900.0, 600.0])
            .with_icon(icon)
            .with_drag_and_drop(true),
        ..Default::default()
    };
    eframe::run_native(
        APP_ID,
        options,
        Box::new(|creation| {
            ExplorerApp::new(creation, paths).map(|app| Box::new(app) as Box<dyn eframe::App>).map_err(Into::into)
        }),
    )
    .map_err(|error| {
        format!("The window could not be opened: {error}. Is a display available? The commands (`ckptscope --help`) work without one")
    })
}

/// The program behind the window.
struct ExplorerApp {
    state: AppState,
    views: Views,
    themes: Themes,
    commands: CommandQueue,
    jobs: JobRunner,
    watch: FileWatch,
    /// Commands from threads of our own: dialogs and checks.
    answers: (SyncSender<Command>, Receiver<Command>),
    /// A picture of the window that was asked for, and the frames to wait before it is taken.
    capture: Option<pictures::Capture>,
    capture_in: u8,
    title: String,
}

impl ExplorerApp {
    fn new(creation: &eframe::CreationContext<'_>, paths: Vec<PathBuf>) -> std::io::Result<Self> {
        let ctx = creation.egui_ctx.clone();
        let themes = Themes::load();
        themes.install(&ctx);
        // Zoom is a setting of ours, with its own commands.
        ctx.options_mut(|options| options.zoom_with_keyboard = false);
        let wake = ctx.clone();
        // Three at least: while files are scanned and compared, a look at one tensor need not wait.
        let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(3, 4);
        let jobs = JobRunner::new(workers, move || wake.request_repaint())?;
        let wake = ctx.clone();
        let watch = FileWatch::new(move || wake.request_repaint())?;
        let mut app = Self {
            state: AppState { settings: persistence::load(creation.storage), ..AppState::default() },
            views: Views::default(),
            themes,
            commands: CommandQueue::default(),
            jobs,
            watch,
            // Dialogs answer one at a time; a few more never wait.
            answers: sync_channel(16),
            capture: None,
            capture_in: 0,
            title: String::new(),
        };
        app.apply_appearance(&ctx);
        app.check_dialogs(&ctx);
        if !paths.is_empty() {
            app.carry_out(Command::OpenPaths(paths), &ctx);
        }
        Ok(app)
    }

    fn carry_out(&mut self, command: Command, ctx: &egui::Context) {
        for effect in apply(command, &mut self.state) {
            self.run_effect(effect, ctx);
        }
    }
}

impl eframe::App for ExplorerApp {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        let mut commands: Vec<Command> = self.jobs.poll().into_iter().map(Command::JobEnded).collect();
        commands.extend(self.watch.poll().into_iter().map(|watched| match watched {
            Watched::Checkpoint(id) => Command::FileChanged(id),
            Watched::Curves => Command::Curves(CurvesChange::SourceChanged),
        }));
        commands.extend(self.answers.1.try_iter());
        commands.extend(input::commands(ctx));
        for command in commands {
            self.carry_out(command, ctx);
        }
        self.take_picture(ctx);
        let title = self
            .state
            .session
            .current()
            .map_or_else(|| "Ckptscope".to_owned(), |entry| format!("{} – Ckptscope", entry.name));
        if title != self.title {
            ctx.send_viewport_cmd(egui::ViewportCommand::Title(title.clone()));
            self.title = title;
        }
        self.state.jobs = self.jobs.running().collect();
        if !self.state.jobs.is_empty() {
            // Progress is shown a few times a second; an idle window draws nothing.
            ctx.request_repaint_after(std::time::Duration::from_millis(100));
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let theme = self.themes.current(ui.ctx());
        let context = ViewContext { state: &self.state, theme, commands: &self.commands };
        self.views.ui(ui, &context);
        let ctx = ui.ctx().clone();
        let commands = self.commands.drain();
        if !commands.is_empty() {
            for command in commands {
                self.carry_out(command, &ctx);
            }
            ctx.request_repaint();
        }
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        persistence::save(storage, &self.state.settings);
    }
}
