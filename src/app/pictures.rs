//! Pictures of parts of the window: to the clipboard, or to a file that the user names.

use std::sync::mpsc::SyncSender;

use egui::{ColorImage, Context, Rect};

use super::ExplorerApp;
use crate::model::Severity;
use crate::state::Command;

/// A picture that was asked for; the window answers some frames later.
pub(super) struct Capture {
    name: String,
    rect: Rect,
    to_file: bool,
}

impl ExplorerApp {
    /// Asks for a picture of a part of the window, given in points.
    pub(super) fn capture(&mut self, name: String, rect: [f32; 4], to_file: bool, ctx: &Context) {
        let [left, top, right, bottom] = rect;
        let rect = Rect::from_min_max(egui::pos2(left, top), egui::pos2(right, bottom));
        self.capture = Some(Capture { name, rect, to_file });
        // The menu that asked is gone in the next frame.
        self.capture_in = 2;
        ctx.request_repaint();
    }

    /// Takes the picture when its time has come. Called every frame; does nothing without one.
    pub(super) fn take_picture(&mut self, ctx: &Context) {
        if self.capture_in > 1 {
            self.capture_in -= 1;
            ctx.request_repaint();
            return;
        }
        let Some(capture) = self.capture.take() else { return };
        let (answers, own) = (self.answers.0.clone(), ctx.clone());
        ctx.request_screenshot(move |image| {
            let scale = own.pixels_per_point();
            let [width, height] = image.size;
            let size = egui::vec2(width as f32 / scale, height as f32 / scale);
            let part = capture.rect.intersect(Rect::from_min_size(egui::Pos2::ZERO, size));
            if part.width() < 1.0 || part.height() < 1.0 {
                return;
            }
            let image = image.region(&part, Some(scale));
            if capture.to_file {
                ask_and_write(capture.name, "png", &answers, &own, move || png_bytes(&image));
            } else {
                own.copy_image(image);
                // The window is closed when nobody listens.
                let _ = answers.try_send(Command::Tell(Severity::Info, "Copied picture".to_owned()));
                own.request_repaint();
            }
        });
        ctx.request_repaint();
    }

    /// Asks for a name and writes the bytes there.
    pub(super) fn save_svg(&self, name: String, text: String, ctx: &Context) {
        let extension = if name.ends_with(".csv") { "csv" } else { "svg" };
        ask_and_write(name, extension, &self.answers.0, ctx, move || Ok(text.into_bytes()));
    }
}

/// The dialog and the writing wait on a thread of their own; the answer comes as a command.
fn ask_and_write(
    name: String,
    extension: &'static str,
    answers: &SyncSender<Command>,
    ctx: &Context,
    bytes: impl FnOnce() -> Result<Vec<u8>, String> + Send + 'static,
) {
    let (sender, ctx) = (answers.clone(), ctx.clone());
    let spawned = std::thread::Builder::new().name("save-dialog".to_owned()).spawn(move || {
        let dialog = rfd::FileDialog::new()
            .set_title(if extension == "csv" { "Save points" } else { "Save picture" })
            .set_file_name(name)
            .add_filter(extension.to_uppercase(), &[extension]);
        let Some(path) = dialog.save_file() else { return };
        let written =
            bytes().and_then(|bytes| std::fs::write(&path, bytes).map_err(|error| error.to_string()));
        let shown = crate::text::escape(&path.to_string_lossy());
        let answer = match written {
            Ok(()) => Command::Tell(Severity::Info, format!("Saved {shown}")),
            Err(error) => Command::Tell(Severity::Error, format!("Failed to save {shown}: {error}")),
        };
        // The window is closed when nobody listens.
        let _ = sender.send(answer);
        ctx.request_repaint();
    });
    if spawned.is_err() {
        let _ = answers.try_send(Command::Tell(Severity::Error, "No dialog could be shown".to_owned()));
    }
}

fn png_bytes(image: &ColorImage) -> Result<Vec<u8>, String> {
    let [width, height] = image.size;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let pixels: Vec<u8> = image.pixels.iter().flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b()]).collect();
    let mut writer = encoder.write_header().map_err(|error| error.to_string())?;
    writer.write_image_data(&pixels).map_err(|error| error.to_string())?;
    writer.finish().map_err(|error| error.to_string())?;
    Ok(bytes)
}
