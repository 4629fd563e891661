//! Selecting tensors and exporting them: the selection's totals, the preview, the new file.

use ckptscope::jobs::export::ExportFormat;
use ckptscope::model::RenameRule;
use ckptscope::state::{ExportForm, MarkChange};

use super::inspectors::run_jobs;
use super::*;

/// A window over an embedded example, with every job done.
fn example() -> Window {
    let mut window = window(true, |_| {});
    window.click("small_resnet.safetensors");
    run_jobs(&mut window);
    window
}

fn send(window: &mut Window, command: Command) {
    let effects = apply(command, &mut window.state.borrow_mut());
    window.effects.borrow_mut().extend(effects);
    window.harness.run_steps(4);
    run_jobs(window);
}

/// Changes the form as a user does, and waits for the preview.
fn edit(window: &mut Window, change: impl FnOnce(&mut ExportForm)) {
    let mut form = window.state.borrow().export.as_ref().expect("the dialog is open").form.clone();
    change(&mut form);
    send(window, Command::EditExport(Box::new(form)));
}

#[test]
fn what_is_selected_is_counted_and_the_rest_can_be_taken_out_again() {
    let mut window = example();
    send(&mut window, Command::MarkCurrent(MarkChange::All));
    let (all, selected) = {
        let state = window.state.borrow();
        let entry = state.session.current().expect("a checkpoint is open");
        let checkpoint = entry.checkpoint.value().expect("it was read");
        (checkpoint.totals().clone(), entry.marks.totals())
    };
    assert_eq!(
        (selected.tensors, selected.elements, selected.bytes),
        (all.tensors, all.elements, all.tensor_bytes)
    );
    let words = format!("{} tensors selected", all.tensors);
    assert!(window.sees(&words), "{words}");
    send(&mut window, Command::MarkCurrent(MarkChange::Invert));
    assert!(window.state.borrow().session.current().expect("open").marks.is_empty());
    assert!(!window.sees("tensors selected"));
}

#[test]
fn the_dialog_shows_what_will_be_written_and_the_notice_opens_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut window = example();
    send(&mut window, Command::ShowExport);
    for text in ["Save as", "Keep metadata", "Read back and compare"] {
        assert!(window.sees(text), "{text}");
    }
    let target = folder.path().join("out.npz");
    edit(&mut window, |form| {
        form.set_format(ExportFormat::Npz);
        form.cast = Some(Dtype::Float16);
        form.target = target.to_string_lossy().into_owned();
    });
    assert!(window.sees("float32 → float16"), "the preview tells the conversion");
    edit(&mut window, |form| form.rules = "s/(/x/".to_owned());
    assert!(window.sees("is not a renaming rule"), "a fault is told");
    edit(&mut window, |form| form.rules.clear());
    send(&mut window, Command::StartExport);
    assert!(target.is_file());
    assert!(window.state.borrow().export.is_none());
    assert!(window.sees("read back and equal to out.npz"));
    window.click("Open");
    run_jobs(&mut window);
    assert_eq!(window.state.borrow().session.entries.len(), 2);
}

#[test]
fn an_export_that_fails_opens_the_dialog_again_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("out.safetensors");
    std::fs::write(&target, b"old").expect("written");
    let mut window = example();
    send(&mut window, Command::ShowExport);
    edit(&mut window, |form| form.target = target.to_string_lossy().into_owned());
    send(&mut window, Command::StartExport);
    assert!(window.sees("exists already"));
    assert_eq!(std::fs::read(&target).expect("it is there"), b"old");
    window.click("Cancel");
    assert!(window.state.borrow().export.is_none());
}

#[test]
fn rules_that_make_a_checkpoint_load_are_filled_in() {
    let mut window = example();
    let id = window.state.borrow().session.current().expect("open").id;
    let rule = RenameRule::parse("head.=>classifier.").expect("a rule");
    send(&mut window, Command::ExportRenamed(id, vec![rule]));
    assert!(window.sees("→ classifier."), "the preview shows the new names");
}
