//! Subcommands and exit codes; parsing only.
