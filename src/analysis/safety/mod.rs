//! Classes of what a file imports, and the verdict over everything that was found in it.
//!
//! ```text
//! formats::examine ─▶ Evidence ─▶ judge ─┬ names   class of each import, with its reason
//!                                        └ rules   level and meaning of each observation
//!                                              ▶ Safety: verdict, reason in one sentence, findings
//! ```
//! Says what loading would do by what is written in the file. It cannot say that a file is harmless to a program with a
//! fault of its own.

mod names;
mod rules;

pub use names::classify;

use crate::model::{Evidence, Import, LoadCall, Severity};

/// What an imported name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Makes tensors, arrays and their parts.
    Tensor,
    /// Makes plain values and containers.
    Container,
    /// A class of a known library.
    Framework,
    /// Nothing is known about it.
    Unknown,
    /// Known to act on the system or to run code.
    Dangerous,
}

impl Class {
    /// All, the harmless first.
    pub const ALL: [Self; 5] =
        [Self::Tensor, Self::Container, Self::Framework, Self::Unknown, Self::Dangerous];

    /// Identifier for scripts.
    pub fn code(self) -> &'static str {
        match self {
            Self::Tensor => "tensor-constructor",
            Self::Container => "container",
            Self::Framework => "framework",
            Self::Unknown => "unknown",
            Self::Dangerous => "known-dangerous",
        }
    }

    /// Words for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Tensor => "Tensor constructor",
            Self::Container => "Container",
            Self::Framework => "Framework",
            Self::Unknown => "Unknown",
            Self::Dangerous => "Known dangerous",
        }
    }
}

/// The answer to "may I load this?", the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Verdict {
    /// Nothing in it runs.
    #[default]
    Clean,
    /// Loading runs something whose effect is not known.
    UnknownCode,
    /// It is broken or contradicts itself, so what a loader makes of it is not certain.
    Damaged,
    /// Loading does harm, or could as it is written.
    Dangerous,
}

impl Verdict {
    /// Identifier for scripts.
    pub fn code(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::UnknownCode => "unknown-code",
            Self::Damaged => "damaged",
            Self::Dangerous => "dangerous",
        }
    }

    /// Words for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Clean => "Clean",
            Self::UnknownCode => "Unknown code",
            Self::Damaged => "Damaged",
            Self::Dangerous => "Dangerous",
        }
    }
}

/// An import with its class.
#[derive(Debug, Clone)]
pub struct JudgedImport {
    /// What is imported, and where.
    pub import: Import,
    /// What it is.
    pub class: Class,
    /// Why.
    pub reason: &'static str,
}

/// One thing that should be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub level: Severity,
    /// Identifier for scripts.
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// A sentence with the particulars.
    pub message: String,
    /// What it is and why it matters.
    pub explanation: &'static str,
    /// The member or stream; empty for the file itself.
    pub place: String,
    /// In bytes from the start of the file or the place, where one is known.
    pub offset: Option<u64>,
    /// The least that the verdict is because of it.
    pub verdict: Verdict,
}

/// Everything that was found out about a file's safety.
#[derive(Debug, Clone, Default)]
pub struct Safety {
    /// The answer.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub reason: String,
    /// What it is: `a zip archive`, `a pickle`.
    pub kind: String,
    /// Everything that is imported, the most dangerous first.
    pub imports: Vec<JudgedImport>,
    /// What loading would call, the most dangerous first, each with the class of what is called.
    pub calls: Vec<(LoadCall, Class)>,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// Findings beyond those that are listed.
    pub more: u64,
    /// Pickle streams that were looked through.
    pub pickles: u64,
    /// Files and members that were looked at.
    pub parts: u64,
    /// Bytes of values, which can do nothing.
    pub data_bytes: u64,
}

impl Safety {
    /// The worst level among the findings; `None` where there is none.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.level).max()
    }

    /// How many names of a class are imported.
    pub fn count(&self, class: Class) -> usize {
        self.imports.iter().filter(|import| import.class == class).count()
    }
}

/// Unknown names that get a finding of their own; the others are counted in one.
const UNKNOWN_NAMED: usize = 20;

/// Judges what was found.
pub fn judge(evidence: &Evidence) -> Safety {
    let classes: Vec<(Class, &'static str)> =
        evidence.imports.iter().map(|import| classify(&import.module, &import.name)).collect();
    let mut findings = Vec::new();
    let mut unknown = 0;
    for (index, (import, &(class, reason))) in evidence.imports.iter().zip(&classes).enumerate() {
        if class < Class::Unknown {
            continue;
        }
        let call = evidence.calls.iter().find(|call| call.import == Some(index));
        let is_dangerous = class == Class::Dangerous;
        unknown += usize::from(!is_dangerous);
        if !is_dangerous && unknown > UNKNOWN_NAMED {
            continue;
        }
        let name = full_name(import);
        let message = match call {
            Some(call) => {
                format!("{name} would be called with {}", call.arguments.first().map_or("", |text| text))
            }
            None => format!("{name} would be imported"),
        };
        findings.push(Finding {
            level: if is_dangerous { Severity::Error } else { Severity::Warning },
            code: if is_dangerous { "dangerous-import" } else { "unknown-import" },
            title: if is_dangerous { "Dangerous import" } else { "Unknown import" },
            message,
            explanation: reason,
            place: import.place.clone(),
            offset: call.map(|call| call.offset).or(import.offset),
            verdict: if is_dangerous { Verdict::Dangerous } else { Verdict::UnknownCode },
        });
    }
    for observation in &evidence.observations {
        let rule = rules::rule(observation.kind, &observation.names);
        findings.push(Finding {
            level: rule.level,
            code: observation.kind.code(),
            title: rule.title,
            message: observation.detail.clone(),
            explanation: rule.explanation,
            place: observation.place.clone(),
            offset: observation.offset,
            verdict: rule.verdict,
        });
    }
    findings.sort_by(|a, b| b.verdict.cmp(&a.verdict).then(b.level.cmp(&a.level)));
    let verdict = findings.iter().map(|finding| finding.verdict).max().unwrap_or_default();
    let observed: u64 = evidence.observed.values().sum();
    let more = observed - evidence.observations.len() as u64 + unknown.saturating_sub(UNKNOWN_NAMED) as u64;
    let mut imports: Vec<JudgedImport> = evidence
        .imports
        .iter()
        .zip(&classes)
        .map(|(import, &(class, reason))| JudgedImport { import: import.clone(), class, reason })
        .collect();
    imports.sort_by_key(|import| std::cmp::Reverse(import.class));
    let class_of = |call: &LoadCall| {
        let class = call.import.and_then(|index| classes.get(index)).map(|&(class, _)| class);
        class.unwrap_or(Class::Unknown)
    };
    let mut calls: Vec<(LoadCall, Class)> =
        evidence.calls.iter().map(|call| (call.clone(), class_of(call))).collect();
    calls.sort_by_key(|(_, class)| std::cmp::Reverse(*class));
    let reason = reason(verdict, &findings, &imports, evidence);
    Safety {
        verdict,
        reason,
        kind: evidence.kind.clone(),
        imports,
        calls,
        findings,
        more,
        pickles: evidence.pickles,
        parts: evidence.parts,
        data_bytes: evidence.data_bytes,
    }
}

/// `module.name`.
pub fn full_name(import: &Import) -> String {
    format!("{}.{}", import.module, import.name)
}

/// The verdict in one sentence.
fn reason(verdict: Verdict, findings: &[Finding], imports: &[JudgedImport], evidence: &Evidence) -> String {
    let worst = findings.first().filter(|finding| finding.verdict == verdict && verdict != Verdict::Clean);
    let place = |finding: &Finding| match finding.place.as_str() {
        "" => String::new(),
        place => format!(" (in {place})"),
    };
    match (verdict, worst) {
        (Verdict::Dangerous, Some(worst)) => {
            format!(
                "Loading it is dangerous: {}{}. {}",
                worst.message,
                place(worst),
                sentence(worst.explanation)
            )
        }
        (Verdict::Damaged, Some(worst)) => {
            format!("It is damaged or contradicts itself: {}{}.", worst.message, place(worst))
        }
        (Verdict::UnknownCode, Some(worst)) => {
            let names: Vec<String> = imports
                .iter()
                .filter(|import| import.class == Class::Unknown)
                .map(|import| full_name(&import.import))
                .collect();
            match names.as_slice() {
                [] => format!("It holds something that cannot be judged: {}{}.", worst.message, place(worst)),
                [name] => format!("Loading it imports {name}, of which nothing is known."),
                [name, _] => {
                    format!("Loading it imports {name} and one more name of which nothing is known.")
                }
                [name, more @ ..] => {
                    format!(
                        "Loading it imports {name} and {} more names of which nothing is known.",
                        more.len()
                    )
                }
            }
        }
        _ if evidence.pickles > 0 && !imports.is_empty() => {
            "Its pickle imports only what rebuilds tensors, plain values and classes of known libraries."
                .to_owned()
        }
        _ if evidence.pickles > 0 => "Its pickle imports nothing at all.".to_owned(),
        _ => "It holds values and descriptions only; nothing in it is run.".to_owned(),
    }
}

fn sentence(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_only_look_harmless_are_not() {
        for (module, name, class) in [
            ("torch._utils", "_rebuild_tensor_v2", Class::Tensor),
            ("torch._utils_evil", "_rebuild_tensor_v2", Class::Unknown),
            ("torch._utils", "_rebuild_anything", Class::Unknown),
            ("torch.nn.modules.conv", "Conv2d", Class::Framework),
            ("torch.nn.modules.conv", "Popen", Class::Dangerous),
            ("torch.nn_evil.conv", "Conv2d", Class::Unknown),
            ("torch.nn.modules.conv", "os.system", Class::Dangerous),
            ("numpy.core.multiarray", "_reconstruct.__globals__", Class::Dangerous),
            ("torch.serialization", "os", Class::Dangerous),
            ("torch.hub", "load", Class::Dangerous),
            ("torch.utils.collect_env", "run", Class::Dangerous),
            ("numpy.testing._private.utils", "runstring", Class::Dangerous),
            ("pip", "main", Class::Dangerous),
            ("pip._internal", "main", Class::Dangerous),
            ("pipeline", "main", Class::Unknown),
            ("builtins", "eval", Class::Dangerous),
            ("__builtin__", "eval", Class::Dangerous),
            ("builtins", "set", Class::Container),
            ("builtins", "getattr", Class::Unknown),
            ("builtins", "len.__self__.eval", Class::Dangerous),
            ("operator", "attrgetter", Class::Dangerous),
            ("functools", "partial", Class::Unknown),
            ("asyncio.subprocess", "create_subprocess_shell", Class::Dangerous),
            ("collections", "OrderedDict", Class::Container),
            ("__main__", "Net", Class::Unknown),
            ("osprey", "system", Class::Unknown),
        ] {
            assert_eq!(classify(module, name).0, class, "{module}.{name}");
        }
    }

    #[test]
    fn nothing_found_is_clean_and_says_what_was_looked_for() {
        let safety = judge(&Evidence { pickles: 1, ..Evidence::default() });
        assert_eq!(
            (safety.verdict, safety.reason.as_str()),
            (Verdict::Clean, "Its pickle imports nothing at all.")
        );
    }
}
