//! The rules of [`super::health`], one function each: when they speak, how loudly, and in which words.

use std::collections::BTreeMap;

use super::Statistics;
use super::health::{Finding, Rule};
use super::scan::TensorStatistics;
use crate::model::{Dtype, Severity, TensorId, TensorInfo, TensorRole};

/// One tensor and what is known of it.
pub(super) struct Subject<'a> {
    pub id: TensorId,
    pub tensor: &'a TensorInfo,
    pub found: &'a TensorStatistics,
    /// Identifier of the file's layout.
    pub format: &'a str,
}

impl Subject<'_> {
    fn statistics(&self) -> &Statistics {
        &self.found.statistics
    }

    /// Whether it is a weight of the model, as far as the file tells.
    fn is_weight(&self) -> bool {
        matches!(self.tensor.role, TensorRole::Parameter | TensorRole::Ema | TensorRole::Unknown)
            && (self.tensor.dtype.is_float() || self.is_quantised())
            && !self.is_of_a_program()
    }

    /// Whether it is a number in a graph's program, such as what variables are initialised with, rather than a weight.
    fn is_of_a_program(&self) -> bool {
        let name = self.tensor.name.as_str();
        match self.format {
            "tf-meta-graph" => true, // the weights stand in the checkpoint beside it
            "tf-graph" => {
                name.contains("/Initializer/") || self.last_name().split('_').next() == Some("const")
            }
            _ => false,
        }
    }

    fn is_quantised(&self) -> bool {
        matches!(self.tensor.dtype, Dtype::Qint8 | Dtype::Quint8 | Dtype::Qint32)
    }

    /// The last part of its name in lower case, without TensorFlow's `:0`.
    fn last_name(&self) -> String {
        let name = self.tensor.name.rsplit(['.', '/']).next().unwrap_or_default();
        name.split(':').next().unwrap_or_default().to_lowercase()
    }

    fn finding(&self, level: Severity, rule: Rule, message: String) -> Finding {
        Finding { level, rule, tensor: self.id, message }
    }
}

/// Applies the rules that look at one tensor only.
pub(super) fn apply(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let rules: [fn(&Subject<'_>) -> Option<Finding>; 9] = [
        not_a_number,
        infinite,
        one_value,
        dead_slices,
        extreme_values,
        saturated,
        denormal,
        running_variance,
        optimizer_state,
    ];
    findings.extend(rules.iter().filter_map(|rule| rule(subject)));
}

/// `3 of 640 values`, with the share where it is not obvious.
fn of_values(count: u64, total: u64) -> String {
    match count {
        _ if count == total && total == 1 => "Its one value".to_owned(),
        _ if count == total => format!("All {total} values"),
        1 => format!("1 of {total} values"),
        _ => format!("{count} of {total} values ({})", percent(count, total)),
    }
}

fn percent(count: u64, total: u64) -> String {
    let share = 100.0 * count as f64 / total.max(1) as f64;
    if share < 0.1 { "less than 0.1 %".to_owned() } else { format!("{share:.1} %") }
}

fn is_are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

fn not_a_number(subject: &Subject<'_>) -> Option<Finding> {
    let Statistics { nan, count, .. } = *subject.statistics();
    let level = if subject.tensor.role == TensorRole::Other { Severity::Warning } else { Severity::Error };
    (nan > 0).then(|| {
        subject.finding(level, Rule::NotANumber, format!("{} {} NaN", of_values(nan, count), is_are(nan)))
    })
}

fn infinite(subject: &Subject<'_>) -> Option<Finding> {
    let statistics = subject.statistics();
    let infinite = statistics.infinite();
    if infinite == 0 {
        return None;
    }
    // A mask of −∞ is how attention is told what not to look at.
    let is_mask = statistics.positive_infinity == 0
        && (subject.tensor.role == TensorRole::Buffer || subject.last_name().contains("mask"));
    let level = match subject.tensor.role {
        _ if is_mask => Severity::Info,
        TensorRole::Other => Severity::Warning,
        _ => Severity::Error,
    };
    let words = format!("{} {} infinite", of_values(infinite, statistics.count), is_are(infinite));
    let message = if is_mask { format!("{words}, as in an attention mask") } else { words };
    Some(subject.finding(level, Rule::Infinite, message))
}

/// Zeros and constants. A vector of one value is how biases and scales begin; a matrix of one value is no weight.
fn one_value(subject: &Subject<'_>) -> Option<Finding> {
    let statistics = subject.statistics();
    if statistics.count < 2 || !statistics.is_constant() {
        return None;
    }
    let value = statistics.min?;
    let last = subject.last_name();
    let (rule, what) = if value == 0.0 {
        (Rule::AllZero, "All values are zero".to_owned())
    } else {
        (Rule::Constant, format!("All values are {value}"))
    };
    let is_statistic =
        matches!(last.as_str(), "running_mean" | "running_var" | "moving_mean" | "moving_variance");
    if is_statistic {
        let note = "the layer has seen no data in training";
        return Some(subject.finding(Severity::Info, rule, format!("{what}: {note}")));
    }
    if !subject.is_weight() {
        return None; // counters, masks, momenta before the first step
    }
    let is_matrix = subject.tensor.shape.rank() > 1;
    if is_matrix && subject.tensor.name.to_lowercase().contains("lora_b") {
        return Some(subject.finding(
            Severity::Info,
            rule,
            format!("{what}: the adapter is not trained yet"),
        ));
    }
    if is_matrix {
        return Some(subject.finding(Severity::Warning, rule, what));
    }
    let message = format!("{what}, as such a vector is initialised");
    Some(subject.finding(Severity::Info, rule, message))
}

fn dead_slices(subject: &Subject<'_>) -> Option<Finding> {
    let dead = subject.found.dead.as_deref()?;
    let dims = subject.tensor.shape.dims();
    let [rows, .., columns] = *dims else { return None };
    if !subject.is_weight() {
        return None;
    }
    // The last axis of more than two is an output in Keras and TensorFlow, but part of a kernel in PyTorch.
    let channels_last = subject.format.starts_with("keras") || subject.format.starts_with("tf");
    let dead_columns = if dims.len() == 2 || channels_last { dead.columns } else { 0 };
    let mut parts = Vec::new();
    if dead.rows > 0 {
        parts.push(slices("row", dead.rows, rows, &dead.first_rows));
    }
    if dead_columns > 0 {
        parts.push(slices("column", dead_columns, columns, &dead.first_columns));
    }
    if parts.is_empty() {
        return None;
    }
    let mut words = format!("{} {} zero", parts.join(" and "), is_are(dead.rows + dead_columns));
    words[..1].make_ascii_uppercase();
    let is_padding =
        dead.rows == 1 && dead.columns == 0 && subject.tensor.name.to_lowercase().contains("emb");
    Some(if is_padding {
        subject.finding(Severity::Info, Rule::DeadSlices, format!("{words}: probably the padding"))
    } else {
        subject.finding(Severity::Warning, Rule::DeadSlices, words)
    })
}

/// `row 0 of 139`, or `3 of 139 rows (0, 7, 12)`.
fn slices(what: &str, count: u64, total: u64, first: &[u64]) -> String {
    if let (1, [index]) = (count, first) {
        return format!("{what} {index} of {total}");
    }
    let shown: Vec<String> = first.iter().take(5).map(u64::to_string).collect();
    let more = if count > shown.len() as u64 { ", …" } else { "" };
    format!("{count} of {total} {what}s ({}{more})", shown.join(", "))
}

/// Beyond what a 16-bit float holds.
const EXTREME: f64 = 65_504.0;

fn extreme_values(subject: &Subject<'_>) -> Option<Finding> {
    let largest = subject.statistics().max_abs()?;
    let is_float = subject.tensor.dtype.is_float();
    (is_float && subject.is_weight() && largest > EXTREME).then(|| {
        let message = format!("Its largest magnitude is {largest:.3e}, more than a 16-bit float can hold");
        subject.finding(Severity::Warning, Rule::ExtremeValues, message)
    })
}

fn saturated(subject: &Subject<'_>) -> Option<Finding> {
    let statistics = subject.statistics();
    let saturated = statistics.saturated.filter(|&saturated| saturated > 0)?;
    let share = saturated as f64 / statistics.count.max(1) as f64;
    let largest = super::codes::largest_finite(&subject.tensor.dtype)?;
    let level = match subject.tensor.dtype {
        Dtype::Float16 => Severity::Warning,
        // With so few values, a scale that uses the range puts some at its end.
        Dtype::Float4E2m1 | Dtype::Float4E2m1fnX2 | Dtype::Float6E2m3 | Dtype::Float6E3m2 => return None,
        _ if share >= 0.01 => Severity::Warning,
        _ if share >= 0.001 => Severity::Info,
        _ => return None,
    };
    let values = of_values(saturated, statistics.count);
    let message =
        format!("{values} {} ±{largest}, the largest number of {}", is_are(saturated), subject.tensor.dtype);
    Some(subject.finding(level, Rule::Saturated, message))
}

fn denormal(subject: &Subject<'_>) -> Option<Finding> {
    let statistics = subject.statistics();
    let others = statistics.finite - statistics.zeros;
    if statistics.denormals * 10 < others.max(1) {
        return None;
    }
    let is_wide = subject.tensor.dtype.bits() >= 32 || subject.tensor.dtype == Dtype::Bfloat16;
    let level = if is_wide && subject.is_weight() { Severity::Warning } else { Severity::Info };
    let values = of_values(statistics.denormals, statistics.count);
    let message = format!(
        "{values} {} smaller than the smallest normal {}",
        is_are(statistics.denormals),
        subject.tensor.dtype
    );
    Some(subject.finding(level, Rule::Denormal, message))
}

fn running_variance(subject: &Subject<'_>) -> Option<Finding> {
    if !matches!(subject.last_name().as_str(), "running_var" | "moving_variance") {
        return None;
    }
    let statistics = subject.statistics();
    let smallest = statistics.min?;
    if smallest < 0.0 {
        let message =
            format!("The smallest running variance is {smallest:.3e}, and a variance cannot be negative");
        return Some(subject.finding(Severity::Error, Rule::RunningVariance, message));
    }
    (statistics.zeros > 0).then(|| {
        let message = format!(
            "{} of the running variance {} zero",
            of_values(statistics.zeros, statistics.count),
            is_are(statistics.zeros)
        );
        subject.finding(Severity::Warning, Rule::RunningVariance, message)
    })
}

fn optimizer_state(subject: &Subject<'_>) -> Option<Finding> {
    if subject.tensor.role != TensorRole::Optimizer {
        return None;
    }
    let statistics = subject.statistics();
    let last = subject.last_name();
    let smallest = statistics.min?;
    // Averages of squares, as PyTorch, Keras and TensorFlow name them.
    let is_square = matches!(
        last.as_str(),
        "exp_avg_sq" | "max_exp_avg_sq" | "square_avg" | "velocity_sq" | "vhat" | "rms"
    ) || last.ends_with("exp_avg_sq");
    if is_square && smallest < 0.0 {
        let message = format!("An average of squares is negative: {smallest:.3e}");
        return Some(subject.finding(Severity::Error, Rule::OptimizerState, message));
    }
    (last == "step" && smallest == 0.0).then(|| {
        let message = "Its step count is zero: the state was saved before the first step".to_owned();
        subject.finding(Severity::Warning, Rule::OptimizerState, message)
    })
}

/// Tensors that make a kind, at least.
const KIND: usize = 4;

/// How many times larger than that of its siblings a spread is, to be reported.
const FACTOR: f64 = 10.0;

/// Compares the spread of each weight with those of the same name in other layers.
pub(super) fn siblings(subjects: &[Subject<'_>], findings: &mut Vec<Finding>) {
    // A matrix and a convolution under like names are not the same weight in other layers.
    let mut kinds: BTreeMap<(String, usize), Vec<(&Subject<'_>, f64)>> = BTreeMap::new();
    for subject in subjects.iter().filter(|subject| subject.is_weight() && subject.tensor.shape.rank() > 1) {
        if let (Some(std), Some(kind)) = (subject.statistics().std, kind(&subject.tensor.name))
            && std > 0.0
        {
            kinds.entry((kind, subject.tensor.shape.rank())).or_default().push((subject, std));
        }
    }
    for members in kinds.into_values().filter(|members| members.len() >= KIND) {
        let mut spreads: Vec<f64> = members.iter().map(|member| member.1).collect();
        spreads.sort_unstable_by(f64::total_cmp);
        let middle = spreads[spreads.len() / 2];
        for (subject, std) in members {
            let siblings = spreads.len() - 1;
            if std > middle * FACTOR {
                let message = format!(
                    "Its standard deviation {std:.3e} is {:.0} times the median of its {siblings} siblings in other layers",
                    std / middle
                );
                findings.push(subject.finding(Severity::Warning, Rule::SpreadAgainstSiblings, message));
            } else if std < middle / FACTOR {
                let message = format!(
                    "Its standard deviation {std:.3e} is 1/{:.0} of the median of its {siblings} siblings in other layers",
                    middle / std
                );
                findings.push(subject.finding(Severity::Info, Rule::SpreadAgainstSiblings, message));
            }
        }
    }
}

/// A name with its numbers left out: what tensors of the same kind in different layers share. `None` without a number.
fn kind(name: &str) -> Option<String> {
    let mut kind = String::with_capacity(name.len());
    let mut numbers = false;
    for c in name.chars() {
        if c.is_ascii_digit() {
            if !kind.ends_with('#') {
                kind.push('#');
            }
            numbers = true;
        } else {
            kind.push(c);
        }
    }
    numbers.then_some(kind)
}
