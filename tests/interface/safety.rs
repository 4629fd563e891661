//! The Safety page: hostile files that open and that do not, honest ones, and each state between.

use super::inspectors::run_jobs;
use super::*;

/// A window over a file, on the Safety page, with every job done.
fn over(dark: bool, file: &str) -> Window {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file);
    let mut window = window(dark, |_| {});
    let effects = apply(Command::OpenPaths(vec![path]), &mut window.state.borrow_mut());
    window.effects.borrow_mut().extend(effects);
    run_jobs(&mut window);
    window.click("Safety");
    window
}

#[test]
fn a_hostile_file_is_called_dangerous_with_its_call_and_the_list_marks_it() {
    for dark in [true, false] {
        let window = over(dark, "hostile/in_a_state_dict.pkl");
        for text in [
            "Dangerous to load",
            "posix.system would be called with (\"echo ckptscope\")",
            "Nothing of the file is ever run",
            "Known dangerous: posix.system",
            "What loading would call",
        ] {
            assert!(window.sees(text), "{text}");
        }
    }
}

#[test]
fn a_file_that_does_not_open_is_looked_at_all_the_same() {
    let window = over(true, "hostile/breaks_behind_the_call.pkl");
    assert!(window.sees("Dangerous to load") && window.sees("Broken pickle"));
    assert!(!window.sees("Health"), "there are no values to check");
}

#[test]
fn an_honest_file_is_clean_and_lists_what_it_imports_by_class() {
    let window = over(false, "pytorch/state_dict.pt");
    for text in ["Nothing in it runs", "Tensor constructor", "Container: collections.OrderedDict", "Health"] {
        assert!(window.sees(text), "{text}");
    }
    assert!(!window.sees("Findings"));
}

#[test]
fn a_look_that_fails_says_why_and_can_be_repeated() {
    let mut window = over(true, "pytorch/state_dict.pt");
    let id = window.state.borrow().session.current().expect("open").id;
    let failed = JobOutcome::Failed(JobError::new("The disk is gone.", None));
    end(&mut window.state.borrow_mut(), JobKey::Examine(id), failed);
    window.harness.run_steps(4);
    assert!(window.sees("This file could not be looked at") && window.sees("The disk is gone."));
    assert!(window.sees("Nothing in it runs"), "the last answer stays");
    window.click("Retry");
    assert_eq!(run_jobs(&mut window), 1);
    assert!(!window.sees("The disk is gone."));
}

/// A window over a path, with every job done.
fn opened(path: &Path) -> Window {
    let mut window = window(true, |_| {});
    // A name may have any character; the window draws a box for what no font has.
    window.harness.ctx.set_missing_glyph_policy(egui::MissingGlyphPolicy::Tofu);
    let effects = apply(Command::OpenPaths(vec![path.to_owned()]), &mut window.state.borrow_mut());
    window.effects.borrow_mut().extend(effects);
    run_jobs(&mut window);
    window
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_told_on_each_page_and_the_window_goes_on() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("folder.pt")).expect("made");
    std::os::unix::fs::symlink(at("loop_b.pt"), at("loop_a.pt")).expect("linked");
    std::os::unix::fs::symlink(at("loop_a.pt"), at("loop_b.pt")).expect("linked");
    std::fs::write(at("secret.pt"), b"\x80\x02}.").expect("written");
    std::fs::set_permissions(at("secret.pt"), std::fs::Permissions::from_mode(0o000)).expect("set");
    let made = std::process::Command::new("mkfifo").arg(at("pipe.pt")).status();
    let mut odd =
        vec![at("folder.pt"), at("missing.pt"), at("loop_a.pt"), std::path::PathBuf::from("/dev/zero")];
    odd.extend(made.is_ok_and(|status| status.success()).then(|| at("pipe.pt")));
    // An administrator may read everything.
    odd.extend(std::fs::File::open(at("secret.pt")).is_err().then(|| at("secret.pt")));
    for path in odd {
        let start = std::time::Instant::now();
        let mut window = opened(&path);
        for page in ["Explore", "Compare", "Curves", "Metadata", "Safety", "Explore"] {
            window.click(page);
            run_jobs(&mut window);
        }
        assert!(start.elapsed().as_secs() < 20, "{}", path.display());
        assert!(window.sees("Retry"), "{}: nothing says that it did not open", path.display());
        assert!(window.state.borrow().session.current().is_some(), "{}", path.display());
    }
    // A name that is not UTF-8 is a name.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pytorch/state_dict.pt");
    let path = at("").join(std::ffi::OsStr::from_bytes(b"m\xff\xfe.pt"));
    std::fs::copy(source, &path).expect("copied");
    let window = opened(&path);
    let state = window.state.borrow();
    assert!(state.session.current().expect("open").checkpoint.value().is_some());
}
