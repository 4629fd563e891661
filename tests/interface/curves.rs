//! The Curves page: stories over real runs, the jobs run in place.

use ckptscope::jobs::JobRequest;
use ckptscope::state::CurvesChange;
use ckptscope::state::curves::{Across, CurvesTab};

use super::*;

fn logs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs").join(name)
}

fn send(window: &mut Window, command: Command) {
    let effects = apply(command, &mut window.state.borrow_mut());
    window.effects.borrow_mut().extend(effects);
    window.harness.run_steps(4);
}

/// Runs the jobs that the window asks for until none are left.
fn run_jobs(window: &mut Window) -> usize {
    let mut ran = 0;
    loop {
        let effects = window.effects.borrow_mut().drain(..).collect::<Vec<_>>();
        let requests: Vec<JobRequest> = effects
            .into_iter()
            .filter_map(|effect| if let Effect::Submit(request) = effect { Some(request) } else { None })
            .collect();
        if requests.is_empty() {
            return ran;
        }
        for request in requests {
            ran += 1;
            let key = request.key();
            let outcome = ckptscope::jobs::run::run(&request, &Progress::new(), &|_| {});
            send(window, Command::JobEnded(JobEvent { key, outcome }));
        }
    }
}

/// A window in which this folder or log was opened.
fn opened(dark: bool, name: &str) -> Window {
    let mut window = window(dark, |state| state.settings.scan_on_open = false);
    send(&mut window, Command::OpenPaths(vec![logs(name)]));
    run_jobs(&mut window);
    window
}

fn shown(window: &Window) -> Vec<String> {
    let state = window.state.borrow();
    state.curves.lines.iter().filter(|line| line.shown).map(|line| line.name.clone()).collect()
}

#[test]
fn a_folder_of_logs_opens_as_curves() {
    for dark in [true, false] {
        let window = opened(dark, "keras_run");
        assert_eq!(window.state.borrow().page, Page::Curves);
        assert!(window.state.borrow().session.entries.is_empty());
        window.harness.get_by_label("Chart of the curves");
        assert_eq!(shown(&window), ["accuracy", "loss", "val_accuracy", "val_loss"]);
    }
}

#[test]
fn logged_histograms_are_drawn_as_ridges() {
    for dark in [true, false] {
        let mut window = opened(dark, "tensorboard_v2");
        window.click("Histograms");
        assert_eq!(run_jobs(&mut window), 1);
        window.harness.get_by_label("Histograms over the steps");
        let state = window.state.borrow();
        let made = state.curves.ridges.as_ref().expect("made");
        assert_eq!(made.series().map(|series| series.frames.len()), Some(made.ridges.ridges.len()));
    }
}

#[test]
fn buckets_and_points_are_written_down_by_a_job() {
    let mut window = opened(true, "tensorboard_v2");
    window.click("Histograms");
    run_jobs(&mut window);
    for (change, head) in [
        (CurvesChange::SaveHistograms, "step,left,right,count\n"),
        (CurvesChange::SavePoints, "run,source,series,step,epoch,index,time,value\n"),
    ] {
        send(&mut window, Command::Curves(change));
        let effects = window.effects.borrow_mut().drain(..).collect::<Vec<_>>();
        let [Effect::Submit(request)] = effects.as_slice() else { panic!("one job") };
        let outcome = ckptscope::jobs::run::run(request, &Progress::new(), &|_| {});
        send(&mut window, Command::JobEnded(JobEvent { key: request.key(), outcome }));
        let effects = window.effects.borrow_mut().drain(..).collect::<Vec<_>>();
        let [Effect::SavePicture { picture, .. }] = effects.as_slice() else { panic!("something to save") };
        assert!(picture.starts_with(head) && picture.lines().count() > 2, "{picture}");
    }
}

#[test]
fn curves_that_count_otherwise_are_named_and_not_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    for (run, text) in
        [("a", "step,loss,acc\n10,3,0.1\n20,2,0.2\n"), ("b", "epoch,loss\n0,3\n1,2\n"), ("c", "loss\n5\n4\n")]
    {
        std::fs::create_dir(folder.path().join(run)).expect("a folder");
        std::fs::write(folder.path().join(run).join("metrics.csv"), text).expect("written");
    }
    let mut window = window(true, |_| {});
    let paths = ["a", "b", "c"].map(|run| folder.path().join(run).join("metrics.csv")).to_vec();
    send(&mut window, Command::Curves(CurvesChange::Load(paths)));
    run_jobs(&mut window);
    let drawn = |window: &Window| {
        let state = window.state.borrow();
        let name = |line: &usize| state.curves.lines[*line].key().0;
        let drawing = &state.curves.drawing;
        let lines: Vec<String> = drawing.lines.iter().map(|line| name(&line.line)).collect();
        let counted = &drawing.counted;
        let named = |lines: &[usize]| lines.iter().map(name).collect::<Vec<_>>();
        (lines, named(&counted.without), named(&counted.by_position))
    };
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    // Most of them count steps; a list of numbers alone is drawn by position.
    assert_eq!(drawn(&window), (texts(&["a", "a", "c"]), texts(&["b"]), texts(&["c"])));
    window.harness.get_by_label("loss is not drawn: it has no step");
    let look = window.state.borrow().curves.look;
    let look = ckptscope::state::curves::CurvesLook { across: Across::Epoch, ..look };
    send(&mut window, Command::Curves(CurvesChange::Look(look)));
    assert_eq!(drawn(&window), (texts(&["b", "c"]), texts(&["a", "a"]), texts(&["c"])));
}

#[test]
fn clicking_a_curve_hides_it_and_searching_narrows_the_list() {
    let mut window = opened(true, "keras_run");
    window.click("keras_run loss");
    assert_eq!(shown(&window), ["accuracy", "val_accuracy", "val_loss"]);
    send(&mut window, Command::Curves(CurvesChange::Filter("val_".to_owned())));
    assert!(window.harness.query_by_label("keras_run accuracy").is_none());
    window.harness.get_by_label("keras_run val_loss");
}

#[test]
fn every_way_to_draw_is_drawn_in_both_themes() {
    for dark in [true, false] {
        let mut window = opened(dark, "tensorboard_v2");
        let look = window.state.borrow().curves.look;
        for across in Across::ALL {
            for log in [false, true] {
                let look = ckptscope::state::curves::CurvesLook {
                    across,
                    log_x: log,
                    log_y: log,
                    smoothing: 0.6,
                    ..look
                };
                send(&mut window, Command::Curves(CurvesChange::Look(look)));
                // Event files have no epochs.
                let shown = match across {
                    Across::Epoch => "No chosen curve has this count",
                    _ => "Chart of the curves",
                };
                window.harness.get_by_label(shown);
            }
        }
    }
}

#[test]
fn the_best_checkpoint_is_opened_from_its_table() {
    let mut window = opened(true, "trainer_run");
    window.click("Best checkpoint");
    assert_eq!(window.state.borrow().curves.tab, CurvesTab::Best);
    window.click("Open checkpoint-12");
    run_jobs(&mut window);
    let state = window.state.borrow();
    let current = state.session.current().expect("it is open");
    assert!(current.path.ends_with("checkpoint-12/model.safetensors"), "{}", current.path.display());
    assert!(state.curves.best_paths().any(|path| *path == current.path));
}

#[test]
fn what_cannot_be_ranked_says_why() {
    let mut window = opened(true, "torch_series");
    window.click("Best checkpoint");
    send(&mut window, Command::Curves(CurvesChange::Metric("bleu".to_owned())));
    let state = window.state.borrow();
    assert!(matches!(&state.curves.ranking, Some(Err(message)) if message.contains("bleu")));
}

#[test]
fn the_movement_of_layers_is_read_when_its_tab_is_shown() {
    for dark in [true, false] {
        let mut window = opened(dark, "torch_series");
        window.click("Drift of layers");
        assert_eq!(run_jobs(&mut window), 1);
        window.click("Layer 3");
        window.harness.get_by_label("Movement of 3");
        let state = window.state.borrow();
        assert_eq!(state.curves.drift.value().expect("read").events.len(), 2);
    }
}

#[test]
fn the_page_gathers_the_series_of_the_open_checkpoint() {
    let mut window = opened(true, "torch_series/net_02.pt");
    assert_eq!(window.state.borrow().page, Page::Explore);
    window.click("Curves");
    run_jobs(&mut window);
    assert_eq!(shown(&window), ["train_losses", "val_loss", "val_acc"]);
}

#[test]
fn a_growing_log_is_followed_and_keeps_what_is_hidden() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("metrics.csv");
    std::fs::write(&path, "step,loss,val_loss\n1,3,3.5\n2,2,2.5\n").expect("written");
    let mut window = window(true, |_| {});
    send(&mut window, Command::OpenPaths(vec![folder.path().to_owned()]));
    run_jobs(&mut window);
    send(&mut window, Command::Curves(CurvesChange::Toggle(0)));
    assert_eq!(shown(&window), ["val_loss"]);
    assert!(window.state.borrow().curves.watched().contains(&path));
    std::fs::write(&path, "step,loss,val_loss\n1,3,3.5\n2,2,2.5\n3,1,1.5\n").expect("written");
    send(&mut window, Command::Curves(CurvesChange::SourceChanged));
    run_jobs(&mut window);
    assert_eq!(shown(&window), ["val_loss"]);
    assert_eq!(window.state.borrow().curves.lines[1].last, 1.5);
}

#[test]
fn an_empty_page_says_what_to_open() {
    let mut window = window(true, |state| {
        state.curves.begin(vec![PathBuf::from("/nowhere")]);
        state.curves.gathered.fail(JobError::new("no such folder", None));
        state.page = Page::Curves;
    });
    window.harness.run_steps(2);
    window.harness.get_by_label("The curves could not be read");
}
