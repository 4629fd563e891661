//! What is known of the safety of each open file.

use std::collections::HashMap;
use std::sync::Arc;

use crate::analysis::safety::{Class, Finding, Safety, Verdict};
use crate::jobs::{CheckpointId, JobOutcome, JobOutput, Loadable};
use crate::model::Severity;
use crate::text;

/// The answers, by opening.
#[derive(Default)]
pub struct SafetyStore(HashMap<CheckpointId, Loadable<Arc<Safety>>>);

const NOTHING: &Loadable<Arc<Safety>> = &Loadable::NotRequested;

impl SafetyStore {
    /// What is known of one opening.
    pub fn get(&self, id: CheckpointId) -> &Loadable<Arc<Safety>> {
        self.0.get(&id).unwrap_or(NOTHING)
    }

    /// The verdict, once there is one.
    pub fn verdict(&self, id: CheckpointId) -> Option<Verdict> {
        self.get(id).value().map(|safety| safety.verdict)
    }

    /// Marks it as asked for.
    pub fn begin(&mut self, id: CheckpointId) {
        self.0.entry(id).or_default().begin();
    }

    /// Takes what a job brought.
    pub fn end(&mut self, id: CheckpointId, outcome: JobOutcome) {
        let known = self.0.entry(id).or_default();
        match outcome {
            JobOutcome::Finished(JobOutput::Examined(safety)) => *known = Loadable::Ready(safety),
            JobOutcome::Failed(error) => known.fail(error),
            JobOutcome::Cancelled => known.cancel(),
            JobOutcome::Finished(_) | JobOutcome::Partial(_) => {}
        }
    }

    /// Forgets a closed or reloaded file.
    pub fn forget(&mut self, id: CheckpointId) {
        self.0.remove(&id);
    }
}

/// Findings of one title and level, in order of their weight.
pub struct Group<'a> {
    /// A few words.
    pub title: &'static str,
    /// What it is and why it matters.
    pub explanation: &'static str,
    /// How much it matters.
    pub level: Severity,
    /// The findings.
    pub findings: Vec<&'a Finding>,
}

/// The findings by what they are.
pub fn groups(safety: &Safety) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for finding in &safety.findings {
        let is_same = |group: &&mut Group<'_>| {
            (group.title, group.explanation, group.level)
                == (finding.title, finding.explanation, finding.level)
        };
        if let Some(group) = groups.iter_mut().find(is_same) {
            group.findings.push(finding);
        } else {
            let (title, explanation, level) = (finding.title, finding.explanation, finding.level);
            groups.push(Group { title, explanation, level, findings: vec![finding] });
        }
    }
    groups
}

/// What was looked at, in a line.
pub fn looked_at(safety: &Safety) -> String {
    let counted = |count: u64, one: &str, many: &str| {
        format!("{} {}", text::count(count), if count == 1 { one } else { many })
    };
    let mut parts = Vec::new();
    if !safety.kind.is_empty() {
        parts.push(text::escape(&safety.kind));
    }
    if safety.parts > 1 {
        parts.push(counted(safety.parts, "part", "parts"));
    }
    if safety.pickles > 0 {
        parts.push(counted(safety.pickles, "pickle", "pickles"));
    }
    if safety.data_bytes > 0 {
        parts.push(format!("{} of values, which can do nothing", text::bytes(safety.data_bytes)));
    }
    format!("Looked at {}", parts.join(" · "))
}

/// How many names of each class are imported, the most dangerous first; classes of which there are none are left out.
pub fn class_counts(safety: &Safety) -> Vec<(Class, usize)> {
    let counts = Class::ALL.into_iter().rev().map(|class| (class, safety.count(class)));
    counts.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::JobError;

    #[test]
    fn the_last_answer_stays_while_a_new_one_is_made_or_fails() {
        let (mut store, id) = (SafetyStore::default(), CheckpointId(1));
        assert!(store.verdict(id).is_none());
        store.begin(id);
        store.end(id, JobOutcome::Finished(JobOutput::Examined(Arc::new(Safety::default()))));
        store.begin(id);
        store.end(id, JobOutcome::Failed(JobError::new("no", None)));
        assert_eq!(store.verdict(id), Some(Verdict::Clean));
        store.forget(id);
        assert!(store.verdict(id).is_none());
    }
}
