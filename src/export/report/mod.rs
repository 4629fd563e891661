//! A comparison as a file: HTML to look at, CSV for a table, JSON for scripts.

mod csv;
mod html;
mod json;
mod svg;

use std::io::{self, Write};
use std::path::Path;

use crate::analysis::diff::Comparison;
use crate::model::Checkpoint;

pub(super) use csv::quoted;
pub use json::ComparisonJson;

/// The kinds of report, by the ending of the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReportFormat {
    /// One file with everything in it, pictures included.
    Html,
    /// One row per pair.
    Csv,
    /// What `diff --json --all` prints.
    Json,
}

impl ReportFormat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Html, Self::Csv, Self::Json];

    /// The kind for a file of this name.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_string_lossy().to_lowercase();
        Some(match extension.as_str() {
            "html" | "htm" => Self::Html,
            "csv" => Self::Csv,
            "json" => Self::Json,
            _ => return None,
        })
    }

    /// The ending of its files, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

/// A comparison with the two that were compared.
#[derive(Clone, Copy)]
pub struct Report<'a> {
    /// The left checkpoint.
    pub left: &'a Checkpoint,
    /// The right checkpoint.
    pub right: &'a Checkpoint,
    /// What was found.
    pub comparison: &'a Comparison,
}

impl Report<'_> {
    /// Writes it.
    pub fn write(&self, format: ReportFormat, out: &mut dyn Write) -> io::Result<()> {
        match format {
            ReportFormat::Html => html::write(self, out),
            ReportFormat::Csv => csv::write(self, out),
            ReportFormat::Json => {
                serde_json::to_writer(&mut *out, &ComparisonJson { report: *self, all: true })?;
                writeln!(out)
            }
        }
    }

    /// Writes it to a file, which is replaced only once the new one is complete.
    pub fn save(&self, format: ReportFormat, path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".ckptscope-report-").tempfile_in(folder)?;
        let mut out = io::BufWriter::new(file);
        self.write(format, &mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        // Temporary files are for their owner only; a report is as readable as the folder's other files.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.persist(path)?;
        Ok(())
    }
}
