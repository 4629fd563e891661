//! Settings to and from eframe's storage. Unreadable settings become the defaults: they are a convenience, not data.

use crate::state::Settings;

const KEY: &str = "settings";

/// The settings of the last run.
pub fn load(storage: Option<&dyn eframe::Storage>) -> Settings {
    let mut settings: Settings = storage
        .and_then(|storage| storage.get_string(KEY))
        .and_then(|text| ron::from_str(&text).ok())
        .unwrap_or_default();
    settings.zoom = if settings.zoom.is_finite() { settings.zoom.clamp(0.5, 3.0) } else { 1.0 };
    settings
}

/// Keeps the settings for the next run.
pub fn save(storage: &mut dyn eframe::Storage, settings: &Settings) {
    if let Ok(text) = ron::to_string(settings) {
        storage.set_string(KEY, text);
    }
}
