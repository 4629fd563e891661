//! What was seen of values, compact and mergeable, and the statistics that follow from it.

use super::codes;
use super::complex::Parts;
use super::kernels::{float_key, is_finite_key};
use super::key_table;
use super::moments::Moments;
use super::{Statistics, ValueTable};
use crate::model::Dtype;

/// What was seen of one tensor or of several.
#[derive(Clone)]
pub(super) struct Gathered {
    /// Of mixtures: that of the first.
    pub dtype: Dtype,
    pub seen: Seen,
}

#[derive(Clone)]
pub(super) enum Seen {
    /// Types without numbers: only how many elements.
    Counted(u64),
    /// Types of at most 16 bits: how often each code occurs, ascending by code.
    Codes(Vec<(u16, u64)>),
    /// Everything else, and mixtures.
    Values {
        moments: Moments,
        keys: Keys,
        /// Whether all values are whole numbers, so that a bucket ends at whole numbers.
        whole: bool,
        parts: Option<Box<Parts>>,
    },
}

/// How values spread.
#[derive(Clone)]
pub(super) enum Keys {
    /// All of them, in order of the elements.
    Values(Vec<f64>),
    /// How often each key of [`float_key`] occurs, ascending by key.
    Counted(Vec<(u16, u64)>),
}

impl Gathered {
    /// Adds what another one saw, of any dtype.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.seen, &other.seen) {
            (_, Seen::Counted(0)) => {}
            (Seen::Counted(mine), Seen::Counted(theirs)) => *mine += theirs,
            (Seen::Codes(mine), Seen::Codes(theirs)) if self.dtype == other.dtype => {
                key_table::merge(mine, theirs);
            }
            _ => {
                let mut mixed = self.to_mixed();
                mixed.merge(&other.to_mixed());
                self.seen = mixed.into_seen();
            }
        }
    }

    /// Adds the moments of segments, in order, whose keys are in here already.
    pub fn add_segments(&mut self, segments: impl Iterator<Item = Moments>) {
        if let Seen::Values { moments, .. } = &mut self.seen {
            for segment in segments {
                moments.merge(&segment);
            }
        }
    }

    /// The results.
    pub fn finish(self) -> (Statistics, ValueTable) {
        match self.seen {
            Seen::Counted(count) => (Statistics { count, ..Statistics::default() }, ValueTable::default()),
            Seen::Codes(counts) => {
                let counted = codes::values(&self.dtype, &counts);
                let moments = Moments::of_counted(&counted, codes::smallest_normal(&self.dtype));
                let saturated = codes::saturated(&self.dtype, &counted);
                let finite = counted.into_iter().filter(|(value, _)| value.is_finite());
                let table = ValueTable { buckets: points(finite) };
                (Statistics { saturated, ..Statistics::new(&moments, &table) }, table)
            }
            Seen::Values { moments, keys, whole, parts } => {
                let table = match keys {
                    Keys::Values(values) => table_of(values),
                    Keys::Counted(counted) => Bounds { whole, moments: &moments }.table(&counted),
                };
                let parts = parts.and_then(|parts| parts.statistics());
                (Statistics { parts, ..Statistics::new(&moments, &table) }, table)
            }
        }
    }

    /// The same in the form that can hold every dtype.
    fn to_mixed(&self) -> Mixed {
        let whole = !self.dtype.is_float();
        match &self.seen {
            Seen::Counted(count) => {
                let moments = Moments { count: *count, ..Moments::empty() };
                Mixed { moments, keys: Vec::new(), whole, parts: None }
            }
            Seen::Codes(counts) => {
                let counted = codes::values(&self.dtype, counts);
                let moments = Moments::of_counted(&counted, codes::smallest_normal(&self.dtype));
                let mut keys: Vec<(u16, u64)> =
                    counted.into_iter().map(|(value, count)| (float_key(value), count)).collect();
                keys.sort_unstable();
                keys.dedup_by(|(key, count), (kept, sum)| {
                    let same = key == kept;
                    if same {
                        *sum += *count;
                    }
                    same
                });
                Mixed { moments, keys, whole, parts: None }
            }
            Seen::Values { moments, keys, whole, parts } => {
                let keys = match keys {
                    Keys::Counted(counted) => counted.clone(),
                    Keys::Values(values) => {
                        key_table::of_list(values.iter().map(|&value| float_key(value)).collect())
                    }
                };
                Mixed { moments: moments.clone(), keys, whole: *whole, parts: parts.clone() }
            }
        }
    }
}

/// The fields of [`Seen::Values`] with counted keys.
struct Mixed {
    moments: Moments,
    keys: Vec<(u16, u64)>,
    whole: bool,
    parts: Option<Box<Parts>>,
}

impl Mixed {
    fn merge(&mut self, other: &Self) {
        if other.moments.finite > 0 {
            self.whole = other.whole && (self.whole || self.moments.finite == 0);
        }
        // Parts of a mixture would be those of a part of it.
        self.parts = match (self.parts.take(), &other.parts) {
            (Some(mut mine), Some(theirs)) => {
                mine.merge(theirs);
                Some(mine)
            }
            _ => None,
        };
        self.moments.merge(&other.moments);
        key_table::merge(&mut self.keys, &other.keys);
    }

    fn into_seen(self) -> Seen {
        let Self { moments, keys, whole, parts } = self;
        Seen::Values { moments, keys: Keys::Counted(keys), whole, parts }
    }
}

/// A table of points from all the values there are.
fn table_of(mut values: Vec<f64>) -> ValueTable {
    values.retain(|value| value.is_finite());
    values.sort_unstable_by(f64::total_cmp);
    let runs = values.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64));
    ValueTable { buckets: points(runs) }
}

fn points(counted: impl Iterator<Item = (f64, u64)>) -> Vec<(f64, f64, u64)> {
    // Zero is shown without a sign, whichever zero came first.
    counted.map(|(value, count)| (value + 0.0, value + 0.0, count)).collect()
}

/// Turns keys into buckets of values.
struct Bounds<'a> {
    whole: bool,
    moments: &'a Moments,
}

impl Bounds<'_> {
    fn table(&self, counted: &[(u16, u64)]) -> ValueTable {
        let (positive, negative) = counted.split_at(counted.partition_point(|&(key, _)| key < 0x8000));
        let finite = |entry: &&(u16, u64)| is_finite_key(entry.0);
        let mut buckets: Vec<(f64, f64, u64)> = Vec::with_capacity(counted.len() + 1);
        for &(key, count) in negative.iter().rev().filter(finite).filter(|entry| entry.0 != 0x8000) {
            let (low, high) = self.bounds(key & 0x7fff);
            buckets.push((-high, -low, count));
        }
        // Zero is a point of its own; what else is in the two innermost buckets is smaller than 2^-132.
        let innermost: u64 =
            counted.iter().filter(|(key, _)| matches!(key, 0 | 0x8000)).map(|entry| entry.1).sum();
        let tiny = innermost.saturating_sub(self.moments.zeros);
        if tiny > 0 {
            let (_, high) = self.bounds(0);
            buckets.push((-high, high, tiny));
        }
        if innermost > tiny {
            buckets.push((0.0, 0.0, innermost - tiny));
        }
        for &(key, count) in positive.iter().filter(finite).filter(|entry| entry.0 != 0) {
            let (low, high) = self.bounds(key);
            buckets.push((low, high, count));
        }
        // The outermost buckets end where the values do, and one with a single element is that value.
        if let Some(first) = buckets.first_mut() {
            first.0 = self.moments.min;
            first.1 = if first.2 == 1 { self.moments.min } else { first.1 };
        }
        if let Some(last) = buckets.last_mut() {
            last.1 = self.moments.max;
            last.0 = if last.2 == 1 { self.moments.max } else { last.0 };
        }
        ValueTable { buckets }
    }

    /// The smallest and largest value of a key of positive numbers.
    fn bounds(&self, key: u16) -> (f64, f64) {
        let bits = u32::from(key) << 16;
        let (low, high) = (f64::from(f32::from_bits(bits)), f64::from(f32::from_bits(bits | 0xffff)));
        if self.whole && low.ceil() <= high.floor() { (low.ceil(), high.floor()) } else { (low, high) }
    }
}
