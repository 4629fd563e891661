//! The findings as SARIF 2.1.0, which code hosts and editors show.
//!
//! Source: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html>.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use serde_json::{Value as Json, json};

use super::Report;
use crate::cli::Failure;
use crate::model::Severity;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json";

/// Writes the log to a file, which is there whole or not at all.
pub fn write_file(report: &Report, file: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::Message(format!("Failed to write SARIF: {error}. File: {}", file.display()))
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    serde_json::to_writer_pretty(&mut temporary, &log(report)).map_err(|error| failed(error.into()))?;
    writeln!(temporary).map_err(failed)?;
    temporary.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}

pub fn write(report: &Report, out: &mut impl Write) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *out, &log(report)).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

fn log(report: &Report) -> Json {
    let uri = uri(report.path);
    let mut rules: Vec<Json> = Vec::new();
    let mut results: Vec<Json> = Vec::new();
    let mut known: Vec<&str> = Vec::new();
    let mut result = |code: &'static str,
                      title: &str,
                      explanation: &str,
                      level,
                      message: String,
                      member: &str,
                      offset: Option<u64>| {
        let index = known.iter().position(|rule| *rule == code).unwrap_or_else(|| {
            known.push(code);
            rules.push(json!({
                "id": code,
                "shortDescription": { "text": title },
                "fullDescription": { "text": explanation },
            }));
            known.len() - 1
        });
        let mut physical = json!({ "artifactLocation": { "uri": uri } });
        // An offset within a member is none within the file.
        if let (Some(offset), "", Some(physical)) = (offset, member, physical.as_object_mut()) {
            physical.insert("region".to_owned(), json!({ "byteOffset": offset }));
        }
        let mut location = json!({ "physicalLocation": physical });
        if let (false, Some(location)) = (member.is_empty(), location.as_object_mut()) {
            location.insert(
                "logicalLocations".to_owned(),
                json!([{ "fullyQualifiedName": member, "kind": "member" }]),
            );
        }
        results.push(json!({
            "ruleId": code,
            "ruleIndex": index,
            "level": match level {
                Severity::Info => "note",
                Severity::Warning => "warning",
                Severity::Error => "error",
            },
            "message": { "text": message },
            "locations": [location],
        }));
    };
    for finding in &report.safety.findings {
        let message = format!("{}: {}", finding.title, finding.message);
        result(
            finding.code,
            finding.title,
            finding.explanation,
            finding.level,
            message,
            &finding.place,
            finding.offset,
        );
    }
    if let (Some(health), Some(checkpoint)) = (&report.health, report.checkpoint) {
        for finding in &health.findings {
            let tensor = &checkpoint.tensor(finding.tensor).name;
            let rule = finding.rule;
            result(
                rule.code(),
                rule.title(),
                rule.explanation(),
                finding.level,
                finding.message.clone(),
                tensor,
                None,
            );
        }
    }
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "ckptscope", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "artifacts": [{ "location": { "uri": uri } }],
            "results": results,
            "properties": { "verdict": report.safety.verdict.code(), "reason": report.safety.reason },
        }],
    })
}

/// A path as a relative or absolute URI reference.
fn uri(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "/");
    let mut uri = if path.is_absolute() { "file://".to_owned() } else { String::new() };
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~:".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}"); // a String takes everything
        }
    }
    uri
}
