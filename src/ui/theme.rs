//! Tokens from `assets/theme/*.ron` into egui's style: the only place that makes colours, sizes and fonts.

use std::sync::Arc;

use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Shadow, Stroke,
    Style, TextStyle, Vec2, Visuals,
};
use serde::Deserialize;

/// Height of a row of a table.
pub const ROW_HEIGHT: f32 = 24.0;
/// Height of the bar at the top.
pub const TOP_BAR_HEIGHT: f32 = 36.0;
/// Height of the bars inside a page: filter, footer.
pub const TOOL_BAR_HEIGHT: f32 = 40.0;
/// Height of the status line.
pub const STATUS_HEIGHT: f32 = 26.0;
/// Side of the steps all spacing is made of.
pub const STEP: f32 = 4.0;
/// Corners of cards and controls.
pub const RADIUS: u8 = 6;

const BODY: f32 = 13.0;
const LABEL: f32 = 11.5;
const HEAD: f32 = 16.0;

/// Colours by what they are for.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the colour of what it is named after")]
pub struct Theme {
    pub dark: bool,
    pub window: Color32,
    pub panel: Color32,
    pub bar: Color32,
    pub raised: Color32,
    pub hover: Color32,
    pub line: Color32,
    pub line_strong: Color32,
    pub text: Color32,
    pub text_strong: Color32,
    pub text_second: Color32,
    pub text_disabled: Color32,
    /// Left, selection, positive.
    pub accent: Color32,
    /// Behind the chosen segment and the main button.
    pub accent_fill: Color32,
    pub accent_text: Color32,
    pub selection: Color32,
    /// The empty part of a bar.
    pub track: Color32,
    /// Right, change, negative, warnings.
    pub partner: Color32,
    pub error: Color32,
    pub ok: Color32,
}

#[derive(Deserialize)]
struct Tokens {
    dark: bool,
    window: String,
    panel: String,
    bar: String,
    raised: String,
    hover: String,
    line: String,
    line_strong: String,
    text: String,
    text_strong: String,
    text_second: String,
    text_disabled: String,
    accent: String,
    accent_fill: String,
    accent_text: String,
    selection: String,
    track: String,
    partner: String,
    error: String,
    ok: String,
}

/// Both sets of colours.
pub struct Themes {
    /// Dark surfaces.
    pub dark: Theme,
    /// Light surfaces.
    pub light: Theme,
}

impl Themes {
    /// Reads the embedded tokens.
    pub fn load() -> Self {
        Self {
            dark: Theme::parse(include_str!("../../assets/theme/dark.ron")),
            light: Theme::parse(include_str!("../../assets/theme/light.ron")),
        }
    }

    /// The colours in use.
    pub fn current(&self, ctx: &Context) -> &Theme {
        if ctx.theme() == egui::Theme::Dark { &self.dark } else { &self.light }
    }

    /// Gives egui the fonts and both styles. Once at start.
    pub fn install(&self, ctx: &Context) {
        ctx.set_fonts(fonts());
        ctx.set_style_of(egui::Theme::Dark, self.dark.style());
        ctx.set_style_of(egui::Theme::Light, self.light.style());
    }
}

impl Theme {
    #[expect(clippy::expect_used, reason = "the tokens are embedded and parsed by a test")]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that makes colours")]
    fn parse(text: &str) -> Self {
        let tokens: Tokens = ron::from_str(text).expect("the embedded theme is valid");
        let color = |hex: &str| Color32::from_hex(hex).expect("the embedded theme has valid colours");
        Self {
            dark: tokens.dark,
            window: color(&tokens.window),
            panel: color(&tokens.panel),
            bar: color(&tokens.bar),
            raised: color(&tokens.raised),
            hover: color(&tokens.hover),
            line: color(&tokens.line),
            line_strong: color(&tokens.line_strong),
            text: color(&tokens.text),
            text_strong: color(&tokens.text_strong),
            text_second: color(&tokens.text_second),
            text_disabled: color(&tokens.text_disabled),
            accent: color(&tokens.accent),
            accent_fill: color(&tokens.accent_fill),
            accent_text: color(&tokens.accent_text),
            selection: color(&tokens.selection),
            track: color(&tokens.track),
            partner: color(&tokens.partner),
            error: color(&tokens.error),
            ok: color(&tokens.ok),
        }
    }

    /// A line between areas.
    pub fn separator(&self) -> Stroke {
        Stroke::new(1.0, self.line)
    }

    /// Colour of a severity.
    pub fn severity(&self, severity: crate::model::Severity) -> Color32 {
        match severity {
            crate::model::Severity::Info => self.accent,
            crate::model::Severity::Warning => self.partner,
            crate::model::Severity::Error => self.error,
        }
    }

    /// A scale of 511 colours over −1 … 1: the partner's colour below zero, the accent above, the ground between.
    pub fn diverging(&self) -> Vec<Color32> {
        let ground = if self.dark { self.window } else { self.panel };
        (0..=510)
            .map(|step| {
                let at = (step as f32 - 255.0) / 255.0;
                let end = if at < 0.0 { self.partner } else { self.accent };
                // Small values must be told from zero: the scale leaves the ground quickly.
                ground.lerp_to_gamma(end, at.abs().powf(0.8))
            })
            .collect()
    }

    /// Text on a colour of the scale: near its ends, or near the middle.
    pub fn on_scale(&self, near_an_end: bool) -> Color32 {
        if near_an_end { if self.dark { self.window } else { self.accent_text } } else { self.text }
    }

    /// Colours of curves, by turns: told apart without red and green.
    #[expect(clippy::expect_used, reason = "the colours are written here and drawn by a test")]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that makes colours")]
    pub fn curve(&self, index: usize) -> Color32 {
        const DARK: [&str; 8] =
            ["#4a9be0", "#e0a04a", "#4fc3a1", "#c792ea", "#f07f7f", "#a5d15a", "#5fd0e6", "#d6c74f"];
        const LIGHT: [&str; 8] =
            ["#2374b8", "#a86400", "#0f8a68", "#8a4fc0", "#c43d3d", "#4d8a14", "#127f96", "#857400"];
        let colors = if self.dark { DARK } else { LIGHT };
        Color32::from_hex(colors[index % colors.len()]).expect("the colours are valid")
    }

    /// A scale over 0 … 1 from the ground to the accent.
    pub fn sequential(&self, share: f32) -> Color32 {
        let ground = if self.dark { self.window } else { self.panel };
        ground.lerp_to_gamma(self.accent, share.clamp(0.0, 1.0))
    }

    /// A colour that lets through what lies behind it.
    pub fn over(&self, color: Color32) -> Color32 {
        color.gamma_multiply(if self.dark { 0.6 } else { 0.65 })
    }

    /// Dims what lies behind something that waits for an answer.
    pub fn backdrop(&self) -> Color32 {
        Color32::from_black_alpha(if self.dark { 120 } else { 60 })
    }

    /// A card inside a panel.
    pub fn card(&self) -> egui::Frame {
        egui::Frame::new()
            .fill(if self.dark { self.panel } else { self.window })
            .stroke(self.separator())
            .corner_radius(8)
            .inner_margin(Margin::symmetric(12, 10))
    }

    /// What a dialog stands in.
    pub fn dialog(&self) -> egui::Frame {
        egui::Frame::new()
            .fill(if self.dark { self.raised } else { self.window })
            .stroke(Stroke::new(1.0, self.line_strong))
            .corner_radius(8)
            .inner_margin(Margin::same(20))
    }

    fn style(&self) -> Style {
        let text_styles = [
            (TextStyle::Heading, FontId::new(HEAD, FontFamily::Proportional)),
            (TextStyle::Body, FontId::new(BODY, FontFamily::Proportional)),
            (TextStyle::Button, FontId::new(BODY, FontFamily::Proportional)),
            (TextStyle::Small, FontId::new(LABEL, FontFamily::Proportional)),
            (TextStyle::Monospace, FontId::new(12.5, FontFamily::Monospace)),
        ]
        .into();
        let mut style = Style { text_styles, ..Style::default() };
        let spacing = &mut style.spacing;
        spacing.item_spacing = Vec2::new(8.0, 4.0);
        spacing.button_padding = Vec2::new(10.0, 4.0);
        spacing.interact_size.y = 24.0;
        spacing.menu_margin = Margin::same(6);
        spacing.window_margin = Margin::same(16);
        spacing.scroll.bar_width = 8.0;
        spacing.scroll.floating = true;
        spacing.tooltip_width = 420.0;
        style.animation_time = 0.08;
        style.visuals = self.visuals();
        style
    }

    fn visuals(&self) -> Visuals {
        let mut visuals = if self.dark { Visuals::dark() } else { Visuals::light() };
        let radius = CornerRadius::same(RADIUS);
        let widgets = &mut visuals.widgets;
        for (widget, fill, stroke, text) in [
            (&mut widgets.noninteractive, self.panel, self.line, self.text),
            (&mut widgets.inactive, self.raised, self.line_strong, self.text),
            (&mut widgets.hovered, self.hover, self.line_strong, self.text_strong),
            (&mut widgets.active, self.selection, self.accent, self.text_strong),
            (&mut widgets.open, self.raised, self.line_strong, self.text_strong),
        ] {
            widget.bg_fill = fill;
            widget.weak_bg_fill = fill;
            widget.bg_stroke = Stroke::new(1.0, stroke);
            widget.fg_stroke = Stroke::new(1.0, text);
            widget.corner_radius = radius;
            widget.expansion = 0.0;
        }
        visuals.weak_text_color = Some(self.text_second);
        visuals.selection.bg_fill = self.selection;
        visuals.selection.stroke = Stroke::new(1.0, self.text_strong);
        visuals.hyperlink_color = self.accent;
        visuals.faint_bg_color = self.hover;
        visuals.extreme_bg_color = self.window;
        visuals.text_edit_bg_color = Some(if self.dark { self.window } else { self.raised });
        visuals.code_bg_color = self.raised;
        visuals.warn_fg_color = self.partner;
        visuals.error_fg_color = self.error;
        visuals.window_fill = if self.dark { self.raised } else { self.window };
        visuals.window_stroke = Stroke::new(1.0, self.line_strong);
        visuals.window_corner_radius = CornerRadius::same(8);
        visuals.menu_corner_radius = CornerRadius::same(8);
        visuals.window_shadow = Shadow::NONE;
        visuals.popup_shadow = Shadow::NONE;
        visuals.panel_fill = self.panel;
        visuals
    }
}

/// Family of the weight between regular and semi-bold.
pub fn medium() -> FontFamily {
    FontFamily::Name("medium".into())
}

/// Family of headings.
pub fn semibold() -> FontFamily {
    FontFamily::Name("semibold".into())
}

/// Text of the window.
pub fn body() -> FontId {
    FontId::new(BODY, FontFamily::Proportional)
}

/// Text of the window, a little heavier.
pub fn body_medium() -> FontId {
    FontId::new(BODY, medium())
}

/// Labels, badges, axes.
pub fn label() -> FontId {
    FontId::new(LABEL, FontFamily::Proportional)
}

/// Names, shapes and numbers where room is scarce.
pub fn mono_small() -> FontId {
    FontId::new(11.5, FontFamily::Monospace)
}

/// What a picture is multiplied with to be shown as it is, or fainter.
pub fn untinted(opacity: f32) -> Color32 {
    Color32::WHITE.gamma_multiply(opacity)
}

/// Numbers along an axis.
pub fn axis() -> FontId {
    FontId::new(10.5, FontFamily::Proportional)
}

/// Labels in upper case over sections.
pub fn section() -> FontId {
    FontId::new(10.5, medium())
}

/// Names, shapes, numbers.
pub fn mono() -> FontId {
    FontId::new(12.5, FontFamily::Monospace)
}

/// The name at the head of the inspector.
pub fn mono_head() -> FontId {
    FontId::new(HEAD - 1.0, FontFamily::Name("mono-medium".into()))
}

/// Titles.
pub fn title(size: f32) -> FontId {
    FontId::new(size, semibold())
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let embedded: [(&str, &'static [u8]); 5] = [
        ("inter", include_bytes!("../../assets/fonts/Inter-Regular.otf")),
        ("inter-medium", include_bytes!("../../assets/fonts/Inter-Medium.otf")),
        ("inter-semibold", include_bytes!("../../assets/fonts/Inter-SemiBold.otf")),
        ("jetbrains", include_bytes!("../../assets/fonts/JetBrainsMono-Regular.ttf")),
        ("jetbrains-medium", include_bytes!("../../assets/fonts/JetBrainsMono-Medium.ttf")),
    ];
    for (name, bytes) in embedded {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
    }
    // Every family falls back to the regular faces, and from there to the system's fonts.
    let chain = |first: &[&str]| first.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    for (family, names) in [
        (FontFamily::Proportional, chain(&["inter"])),
        (FontFamily::Monospace, chain(&["jetbrains", "inter"])),
        (medium(), chain(&["inter-medium", "inter"])),
        (semibold(), chain(&["inter-semibold", "inter"])),
        (FontFamily::Name("mono-medium".into()), chain(&["jetbrains-medium", "inter"])),
    ] {
        let rest = fonts.families.get(&family).cloned().unwrap_or_default();
        fonts.families.insert(family, names.into_iter().chain(rest).collect());
    }
    fonts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_themes_parse_and_text_has_contrast_aa() {
        let themes = Themes::load();
        for theme in [&themes.dark, &themes.light] {
            for (text, on) in [
                (theme.text, theme.panel),
                (theme.text, theme.selection),
                (theme.text_second, theme.panel),
                (theme.text_second, theme.window),
                (theme.accent_text, theme.accent_fill),
                (theme.error, theme.panel),
                (theme.partner, theme.window),
            ] {
                let ratio = contrast(text, on);
                assert!(ratio >= 4.5, "{text:?} on {on:?} has contrast {ratio:.2}");
            }
        }
    }

    fn contrast(a: Color32, b: Color32) -> f32 {
        let luminance = |color: Color32| {
            let rgba = egui::Rgba::from(color);
            0.2126 * rgba.r() + 0.7152 * rgba.g() + 0.0722 * rgba.b() + 0.05
        };
        let (a, b) = (luminance(a), luminance(b));
        a.max(b) / a.min(b)
    }
}
