//! Starts the program: a subcommand runs in the terminal, otherwise the window opens.

use std::path::PathBuf;
use std::process::ExitCode;

use ckptscope::cli::{self, Exit, Invocation};

fn main() -> ExitCode {
    let exit = match cli::parse(std::env::args_os()) {
        Ok(Invocation::Command(command)) => cli::run(&command),
        Ok(Invocation::Window(paths)) => open_window(paths),
        Err(exit) => exit,
    };
    exit.into()
}

#[cfg(feature = "gui")]
fn open_window(paths: Vec<PathBuf>) -> Exit {
    match ckptscope::app::run(paths) {
        Ok(()) => Exit::Done,
        Err(message) => cli::fail(&message),
    }
}

#[cfg(not(feature = "gui"))]
fn open_window(_paths: Vec<PathBuf>) -> Exit {
    cli::fail(
        "this build has no window (it was built without the `gui` feature); see `ckptscope --help` for the commands",
    )
}
