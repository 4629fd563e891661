//! Goes over the elements of a plane of a tensor in the order of the file, reading little else.

use std::ops::ControlFlow;

use crate::model::{Checkpoint, Dtype, Progress, ReadError, TensorId};

/// Bytes read at a time when what is wanted lies close together.
const AHEAD: u64 = 1 << 20;

/// Bytes between two stretches that are read along rather than skipped.
const GAP: u64 = 1 << 14;

/// Indices along one axis of a plane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    /// Elements from one index to the next.
    pub step: u64,
    /// Indices.
    pub count: u64,
}

/// Where a plane lies among a tensor's elements in row-major order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Its first element.
    pub first: u64,
    /// Down.
    pub rows: Steps,
    /// Across.
    pub columns: Steps,
}

/// Neighbouring values of a plane.
pub(super) struct Run<'a, T> {
    /// Row of the first one, counted from the plane's first.
    pub row: u64,
    /// Column of the first one.
    pub column: u64,
    /// Whether the next ones are below it rather than beside it.
    pub is_down: bool,
    /// In order.
    pub values: &'a [T],
}

/// Passes the plane's elements to `sink`, decoded, each once.
pub(super) fn walk<T: Copy>(
    checkpoint: &Checkpoint,
    id: TensorId,
    layout: &Layout,
    decode: impl Fn(&Dtype, &[u8], &mut Vec<T>),
    progress: &Progress,
    sink: &mut dyn FnMut(Run<'_, T>),
) -> Result<(), ReadError> {
    let dtype = &checkpoint.tensor(id).dtype;
    let group = Group::of(dtype);
    let mut walker = Walker::new(layout);
    let mut decoded = Vec::new();
    if !checkpoint.is_random_access(id) {
        let mut start = 0u64;
        return checkpoint.read_chunks(id, progress, &mut |bytes| {
            let count = group.elements_in(bytes.len() as u64);
            if walker.position().is_some_and(|position| position < start + count) {
                decoded.clear();
                decode(dtype, bytes, &mut decoded);
                walker.take(start, &decoded, sink);
            }
            start += count;
            if walker.position().is_none() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    let (end, span) = (walker.end(), walker.close_together(group));
    let mut buffer = Vec::new();
    while let Some(position) = walker.position() {
        let start = position / group.elements * group.elements;
        let wanted = (position - start + span).min(end - start).div_ceil(group.elements) * group.bytes;
        buffer.resize(wanted as usize, 0);
        match checkpoint.read_at(id, start / group.elements * group.bytes, &mut buffer) {
            Some(result) => result?,
            None => return Err(ReadError::FileChanged),
        }
        progress.advance(wanted)?;
        decoded.clear();
        decode(dtype, &buffer, &mut decoded);
        if walker.take(start, &decoded, sink) == 0 {
            return Err(ReadError::unsupported("values of this type are not numbers"));
        }
    }
    Ok(())
}

/// The smallest stretch of elements that begins and ends at whole bytes.
#[derive(Clone, Copy)]
struct Group {
    elements: u64,
    bytes: u64,
}

impl Group {
    fn of(dtype: &Dtype) -> Self {
        let bytes = dtype.group_bytes().max(1) as u64;
        let elements = match dtype {
            Dtype::Float4E2m1fnX2 => 2,
            _ => dtype.elements_in(bytes),
        };
        Self { elements: elements.max(1), bytes }
    }

    fn elements_in(self, bytes: u64) -> u64 {
        bytes / self.bytes * self.elements
    }
}

/// How far a walk has come. Row-major order makes the positions of a plane ascend when the axis of the larger step is
/// the outer one.
struct Walker {
    first: u64,
    outer: Steps,
    inner: Steps,
    is_down: bool,
    at: (u64, u64),
}

impl Walker {
    fn new(layout: &Layout) -> Self {
        let is_down = layout.rows.step < layout.columns.step;
        let (outer, inner) =
            if is_down { (layout.columns, layout.rows) } else { (layout.rows, layout.columns) };
        let is_empty = outer.count == 0 || inner.count == 0;
        Self { first: layout.first, outer, inner, is_down, at: (if is_empty { outer.count } else { 0 }, 0) }
    }

    /// The next element; `None` at the end.
    fn position(&self) -> Option<u64> {
        let (outer, inner) = self.at;
        (outer < self.outer.count).then(|| self.first + outer * self.outer.step + inner * self.inner.step)
    }

    /// One past the last element.
    fn end(&self) -> u64 {
        let last = |steps: &Steps| steps.count.saturating_sub(1) * steps.step;
        self.first + last(&self.outer) + last(&self.inner) + 1
    }

    /// Elements to read at a time: many when the plane is dense, otherwise those of one stretch.
    fn close_together(&self, group: Group) -> u64 {
        let ahead = (AHEAD / group.bytes).max(1) * group.elements;
        let gap = (GAP / group.bytes).max(1) * group.elements;
        let stretch = (self.inner.count.max(1) - 1) * self.inner.step + 1;
        if self.inner.step > gap {
            1
        } else if self.outer.step.saturating_sub(stretch) > gap {
            stretch.min(ahead)
        } else {
            ahead
        }
    }

    /// Passes on the wanted ones among the elements from `start` on; says how many.
    fn take<T: Copy>(&mut self, start: u64, decoded: &[T], sink: &mut dyn FnMut(Run<'_, T>)) -> usize {
        let mut scattered = Vec::new();
        let mut taken = 0;
        while let Some(from) = self.position().and_then(|position| position.checked_sub(start)) {
            let Some(rest) = decoded.get(from as usize..).filter(|rest| !rest.is_empty()) else { break };
            let (outer, inner) = self.at;
            let step = self.inner.step.max(1) as usize;
            let count = rest.len().div_ceil(step).min((self.inner.count - inner) as usize);
            let (row, column) = if self.is_down { (inner, outer) } else { (outer, inner) };
            let values = if step == 1 {
                &rest[..count]
            } else {
                scattered.clear();
                scattered.extend(rest.iter().step_by(step).take(count));
                &scattered
            };
            sink(Run { row, column, is_down: self.is_down, values });
            taken += count;
            self.at.1 += count as u64;
            if self.at.1 == self.inner.count {
                self.at = (outer + 1, 0);
            }
        }
        taken
    }
}
