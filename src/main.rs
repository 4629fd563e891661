//! Starts the program: a subcommand runs in the terminal, otherwise the window opens.

fn main() {}
