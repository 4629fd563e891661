//! In which order checkpoints were written: by what they count, else by their names, else by their time.

use super::Member;
use crate::model::AxisKind;
use crate::model::layer_tree::natural_cmp;

/// What the order rests on, the best evidence first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderedBy {
    /// A step that the files hold.
    StepInFile,
    /// An epoch that the files hold.
    EpochInFile,
    /// A step in the names.
    StepInName,
    /// An epoch in the names.
    EpochInName,
    /// A number in the names that they do not describe, or the names themselves.
    Name,
    /// When the files were written.
    Time,
}

impl OrderedBy {
    /// In words that complete "ordered by …".
    pub fn words(self) -> &'static str {
        match self {
            Self::StepInFile => "the step in the files",
            Self::EpochInFile => "the epoch in the files",
            Self::StepInName => "the step in the names",
            Self::EpochInName => "the epoch in the names",
            Self::Name => "their names",
            Self::Time => "the time at which they were written",
        }
    }

    /// What it counts.
    pub fn axis(self) -> Option<AxisKind> {
        match self {
            Self::StepInFile | Self::StepInName => Some(AxisKind::Step),
            Self::EpochInFile | Self::EpochInName => Some(AxisKind::Epoch),
            Self::Name | Self::Time => None,
        }
    }
}

/// Checkpoints in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Positions in what was given.
    pub positions: Vec<usize>,
    /// What the order rests on.
    pub by: OrderedBy,
    /// The count of each, in the given positions; by names the number in them. NaN where it has none.
    pub counts: Vec<f64>,
    /// How many tell nothing of what the others are ordered by; they stand last.
    pub unplaced: usize,
}

impl Order {
    /// Where the checkpoint at a place of the order is drawn when nothing is counted: its number, or the place itself.
    pub(super) fn index_of(&self, row: usize) -> f64 {
        let count = self.positions.get(row).and_then(|&position| self.counts.get(position));
        if self.unplaced > 0 || self.by == OrderedBy::Time {
            return row as f64;
        }
        count.copied().filter(|count| count.is_finite()).unwrap_or(row as f64)
    }
}

/// What a checkpoint tells of its place.
type Evidence = Box<dyn Fn(&Member) -> Option<f64>>;

/// Orders checkpoints by the best evidence that all of them have, or else that most of them have.
pub fn order(members: &[Member]) -> Order {
    let evidence: [(OrderedBy, Evidence); 6] = [
        (OrderedBy::StepInFile, Box::new(|member: &Member| member.counted(AxisKind::Step))),
        (OrderedBy::EpochInFile, Box::new(|member: &Member| member.counted(AxisKind::Epoch))),
        (OrderedBy::StepInName, Box::new(|member: &Member| member.counted_in_name(AxisKind::Step))),
        (OrderedBy::EpochInName, Box::new(|member: &Member| member.counted_in_name(AxisKind::Epoch))),
        (OrderedBy::Name, Box::new(|member: &Member| member.in_name.first().map(|number| number.value))),
        (OrderedBy::Time, Box::new(|member: &Member| member.modified)),
    ];
    let columns: Vec<(OrderedBy, Vec<f64>)> = evidence
        .iter()
        .map(|(by, get)| (*by, members.iter().map(|member| get(member).unwrap_or(f64::NAN)).collect()))
        .collect();
    let known = |counts: &[f64]| counts.iter().filter(|count| count.is_finite()).count();
    let tells = |counts: &[f64]| {
        let mut finite = counts.iter().filter(|count| count.is_finite());
        let first = finite.next();
        finite.any(|count| Some(count) != first)
    };
    let mut usable: Vec<&(OrderedBy, Vec<f64>)> =
        columns.iter().filter(|(by, counts)| tells(counts) && *by != OrderedBy::Time).collect();
    // A step that begins anew in each epoch orders nothing.
    let epochs = columns.iter().find(|(by, _)| *by == OrderedBy::EpochInFile).map(|(_, counts)| counts);
    if let Some(epochs) = epochs {
        usable.retain(|(by, steps)| *by != OrderedBy::StepInFile || !contradicts(steps, epochs));
    }
    let most = usable.iter().map(|(_, counts)| known(counts)).max().unwrap_or(0);
    let by_names = || {
        let names_differ = members.windows(2).any(|pair| pair[0].name != pair[1].name);
        if names_differ { OrderedBy::Name } else { OrderedBy::Time }
    };
    let (by, counts) = match usable.into_iter().find(|(_, counts)| known(counts) == most) {
        Some((by, counts)) => (*by, counts.clone()),
        // Without numbers anywhere: names such as `final.pt` tell no order, the time does.
        None if columns.last().is_some_and(|(_, times)| known(times) == members.len() && tells(times)) => {
            (OrderedBy::Time, columns.last().map(|(_, times)| times.clone()).unwrap_or_default())
        }
        None => (by_names(), vec![f64::NAN; members.len()]),
    };
    let mut positions: Vec<usize> = (0..members.len()).collect();
    let column = |by: OrderedBy| columns.iter().find(|(other, _)| *other == by).map(|(_, counts)| counts);
    let ties = [column(OrderedBy::StepInFile), column(OrderedBy::EpochInFile), column(OrderedBy::Name)];
    positions.sort_by(|&a, &b| {
        // NaN is last in `total_cmp`, so what has no count stands at the end.
        let mut result = counts[a].total_cmp(&counts[b]);
        for counts in ties.into_iter().flatten() {
            result = result.then_with(|| counts[a].total_cmp(&counts[b]));
        }
        result.then_with(|| natural_cmp(&members[a].name, &members[b].name))
    });
    let unplaced = if known(&counts) == 0 { 0 } else { members.len() - known(&counts) };
    Order { positions, by, counts, unplaced }
}

/// Whether the order by steps goes back in epochs.
fn contradicts(steps: &[f64], epochs: &[f64]) -> bool {
    let mut pairs: Vec<(f64, f64)> = steps.iter().copied().zip(epochs.iter().copied()).collect();
    pairs.retain(|(step, epoch)| step.is_finite() && epoch.is_finite());
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    pairs.windows(2).any(|pair| pair[0].1 > pair[1].1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::name_pattern::NameNumber;

    fn member(name: &str, numbers: &[(&str, f64)]) -> Member {
        let numbers = numbers.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        Member { name: name.to_owned(), numbers, ..Member::default() }
    }

    fn names<'a>(members: &'a [Member], order: &Order) -> Vec<&'a str> {
        order.positions.iter().map(|&position| members[position].name.as_str()).collect()
    }

    #[test]
    fn a_step_in_the_files_goes_before_everything() {
        let members = [
            member("a_9.pt", &[("global_step", 10.0), ("epoch", 0.0)]),
            member("a_1.pt", &[("global_step", 20.0), ("epoch", 0.0)]),
        ];
        let found = order(&members);
        assert_eq!((names(&members, &found), found.by), (vec!["a_9.pt", "a_1.pt"], OrderedBy::StepInFile));
    }

    #[test]
    fn a_step_that_begins_anew_with_each_epoch_gives_way_to_the_epoch() {
        let members = [
            member("b.pt", &[("step", 5.0), ("epoch", 1.0)]),
            member("a.pt", &[("step", 9.0), ("epoch", 0.0)]),
        ];
        let found = order(&members);
        assert_eq!((names(&members, &found), found.by), (vec!["a.pt", "b.pt"], OrderedBy::EpochInFile));
    }

    #[test]
    fn names_and_then_times_order_what_tells_nothing_else() {
        let named = |name: &str, value: f64| Member {
            in_name: vec![NameNumber { label: "number".into(), value, decimals: 0 }],
            ..member(name, &[])
        };
        let members = [named("m_10.pt", 10.0), named("m_9.pt", 9.0)];
        let found = order(&members);
        assert_eq!((names(&members, &found), found.by), (vec!["m_9.pt", "m_10.pt"], OrderedBy::Name));
        let timed = |name: &str, time: f64| Member { modified: Some(time), ..member(name, &[]) };
        let members = [timed("a.pt", 20.0), timed("b.pt", 10.0)];
        let found = order(&members);
        assert_eq!((names(&members, &found), found.by), (vec!["b.pt", "a.pt"], OrderedBy::Time));
    }

    #[test]
    fn what_tells_less_than_the_others_stands_last() {
        let members =
            [member("final.pt", &[]), member("b.pt", &[("epoch", 2.0)]), member("a.pt", &[("epoch", 1.0)])];
        let found = order(&members);
        assert_eq!((names(&members, &found), found.unplaced), (vec!["a.pt", "b.pt", "final.pt"], 1));
    }
}
