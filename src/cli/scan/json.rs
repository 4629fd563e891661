//! `scan --json`: one object. Once released, fields are only added; `schema` is 1.

use std::io::Write;

use serde_json::{Value as Json, json};

use super::{Report, level_name};
use crate::analysis::health::{Health, Rule};
use crate::cli::Failure;
use crate::model::{Checkpoint, TensorId};

pub fn write(report: &Report, out: &mut impl Write) -> Result<(), Failure> {
    let safety = &report.safety;
    let globals: Vec<Json> = safety
        .imports
        .iter()
        .map(|judged| {
            json!({
                "module": judged.import.module,
                "name": judged.import.name,
                "class": judged.class.code(),
                "count": judged.import.count,
                "offset": judged.import.offset,
                "member": judged.import.place,
                "reason": judged.reason,
            })
        })
        .collect();
    let calls: Vec<Json> = safety
        .calls
        .iter()
        .map(|(call, class)| {
            json!({
                "target": call.target,
                "class": class.code(),
                "opcode": call.opcode,
                "arguments": call.arguments,
                "count": call.count,
                "offset": call.offset,
                "member": call.place,
            })
        })
        .collect();
    let findings: Vec<Json> = safety
        .findings
        .iter()
        .map(|finding| {
            json!({
                "level": level_name(finding.level),
                "code": finding.code,
                "title": finding.title,
                "message": finding.message,
                "explanation": finding.explanation,
                "member": finding.place,
                "offset": finding.offset,
                "verdict": finding.verdict.code(),
            })
        })
        .collect();
    let health = report.health.as_ref().zip(report.checkpoint);
    let mut checked = vec!["safety"];
    checked.extend(health.is_some().then_some("health"));
    let whole = json!({
        "schema": 1,
        "path": report.path.to_string_lossy(),
        "format": report.checkpoint.map(Checkpoint::format),
        "kind": safety.kind,
        "checked": checked,
        "verdict": safety.verdict.code(),
        "reason": safety.reason,
        "pickles": safety.pickles,
        "parts": safety.parts,
        "data_bytes": safety.data_bytes,
        "globals": globals,
        "calls": calls,
        "findings": findings,
        "findings_left_out": safety.more,
        "health": health.map(|(health, checkpoint)| of_health(health, checkpoint)),
    });
    serde_json::to_writer(&mut *out, &whole).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

fn of_health(health: &Health, checkpoint: &Checkpoint) -> Json {
    let name = |id: TensorId| checkpoint.tensor(id).name.as_str();
    let findings: Vec<Json> = health
        .findings
        .iter()
        .map(|finding| {
            json!({
                "level": level_name(finding.level),
                "code": finding.rule.code(),
                "tensor": name(finding.tensor),
                "message": finding.message,
                "explanation": finding.rule.explanation(),
            })
        })
        .collect();
    let mut map = serde_json::Map::new();
    map.insert("worst".to_owned(), health.worst().map_or(Json::Null, |level| level_name(level).into()));
    map.insert("tensors".to_owned(), health.tensors.into());
    map.insert("unreadable".to_owned(), health.unreadable.into());
    for (key, rule) in [
        ("nan", Rule::NotANumber),
        ("inf", Rule::Infinite),
        ("all_zero", Rule::AllZero),
        ("constant", Rule::Constant),
        ("extreme", Rule::ExtremeValues),
    ] {
        let about = health.findings.iter().filter(|finding| finding.rule == rule);
        let named: Vec<&str> = about.map(|finding| name(finding.tensor)).collect();
        map.insert(key.to_owned(), named.into());
    }
    map.insert("findings".to_owned(), findings.into());
    map.into()
}
