//! Keys, dropped files and pasted paths that belong to no widget, as commands.

use std::path::PathBuf;

use egui::{Event, Key, KeyboardShortcut, Modifiers};

use crate::state::{Command, Shortcut};

/// What the input of this frame asks for.
pub fn commands(ctx: &egui::Context) -> Vec<Command> {
    let mut commands = Vec::new();
    let dropped: Vec<PathBuf> =
        ctx.input(|input| input.raw.dropped_files.iter().map(|file| file.path().to_owned()).collect());
    if !dropped.is_empty() {
        commands.push(Command::OpenPaths(dropped));
    }
    let mut shortcuts: Vec<(Shortcut, Command)> = Command::with_shortcuts()
        .into_iter()
        .filter_map(|command| command.shortcut().map(|shortcut| (shortcut, command)))
        .collect();
    // Ctrl+Shift+O also contains Ctrl+O: the one with more modifiers is asked first.
    shortcuts.sort_by_key(|(shortcut, _)| !shortcut.shift);
    ctx.input_mut(|input| {
        for (shortcut, command) in shortcuts {
            if keys(shortcut).is_some_and(|keys| input.consume_shortcut(&keys)) {
                commands.push(command);
            }
        }
        if input.consume_shortcut(&KeyboardShortcut::new(Modifiers::COMMAND, Key::Equals)) {
            commands.push(Command::ZoomIn); // Ctrl+= is Ctrl++ without Shift
        }
    });
    if !ctx.text_edit_focused() {
        ctx.input(|input| {
            for event in &input.events {
                match event {
                    Event::Paste(text) => commands.extend(pasted_paths(text).map(Command::OpenPaths)),
                    Event::Copy => commands.push(Command::CopySelectedName),
                    _ => {}
                }
            }
        });
    }
    commands
}

fn keys(shortcut: Shortcut) -> Option<KeyboardShortcut> {
    let mut modifiers = if shortcut.command { Modifiers::COMMAND } else { Modifiers::NONE };
    if shortcut.shift {
        modifiers |= Modifiers::SHIFT;
    }
    Some(KeyboardShortcut::new(modifiers, Key::from_name(shortcut.key)?))
}

/// Absolute paths among pasted lines, also as file managers write them: `file:///home/me/a%20b.pt`, or in quotes.
fn pasted_paths(text: &str) -> Option<Vec<PathBuf>> {
    let paths: Vec<PathBuf> = text
        .lines()
        .map(|line| line.trim().trim_matches(['"', '\'']))
        .filter_map(|line| match line.strip_prefix("file://") {
            Some(url) => Some(PathBuf::from(percent_decoded(url))),
            None => Some(PathBuf::from(line)).filter(|path| path.is_absolute()),
        })
        .collect();
    (!paths.is_empty()).then_some(paths)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let coded = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| first == b'%');
        bytes.push(coded.unwrap_or(first));
        rest = if coded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_paths_may_be_quoted_or_addresses() {
        let pasted = "file:///a%20b.pt\n'/c.h5'\nrelative words";
        assert_eq!(pasted_paths(pasted), Some(vec![PathBuf::from("/a b.pt"), PathBuf::from("/c.h5")]));
        assert_eq!(pasted_paths("just text"), None);
    }

    #[test]
    fn every_shortcut_names_a_key() {
        for command in Command::with_shortcuts() {
            assert!(command.shortcut().and_then(keys).is_some(), "{}", command.label());
        }
    }
}
