//! Closer looks at a pair of tensors: both histograms, the difference as a picture, single values of both.

use super::look::{Against, HeatMap, Look, Looked, side_by_side};
use super::request::{JobError, JobOutcome, ValueSummary};
use crate::analysis::difference::{TwoTensors, difference_grid};
use crate::analysis::scan::{scan_together, threads};
use crate::analysis::slice::{Plane, window};
use crate::model::{Cancelled, Checkpoint, Progress, ReadError, TensorId};

/// A tensor and the one that it is compared with.
pub(super) struct Two<'a> {
    pub left: (&'a Checkpoint, TensorId),
    pub right: (&'a Checkpoint, &'a Against),
}

impl Two<'_> {
    fn tensors(&self) -> TwoTensors<'_> {
        let (checkpoint, against) = self.right;
        TwoTensors { left: self.left, right: (checkpoint, against.tensor), axes: against.axes.as_deref() }
    }

    /// Looks.
    pub fn look(&self, look: &Look, progress: &Progress) -> Result<Looked, JobOutcome> {
        let failed = |error: ReadError| self.failed(&error);
        let two = self.tensors();
        match look {
            Look::Both(_) => {
                let both = [self.summary(two.left, progress)?, self.summary(two.right, progress)?];
                Ok(Looked::Both(Box::new(both)))
            }
            Look::Beside(_, look) => match &**look {
                Look::Picture(plane, down, across) => {
                    let grid = difference_grid(&two, plane, *down, *across, progress).map_err(failed)?;
                    Ok(Looked::Picture(HeatMap::new(grid, None)))
                }
                Look::Kernels(kernels) => {
                    let dims = two.right.0.tensor(two.right.1).shape.dims();
                    let grid =
                        |plane: &Plane, down, across| difference_grid(&two, plane, down, across, progress);
                    side_by_side(dims, kernels, &grid).map(Looked::Picture).map_err(failed)
                }
                Look::Window(plane) => {
                    if !two.have_equal_shapes() {
                        return Err(failed(ReadError::unsupported("the two have different shapes")));
                    }
                    let (checkpoint, id) = two.left;
                    let left = window(checkpoint, id, &two.left_plane(plane), progress).map_err(failed)?;
                    let (checkpoint, id) = two.right;
                    let right = window(checkpoint, id, plane, progress).map_err(failed)?;
                    Ok(Looked::Windows(left, right))
                }
                _ => Err(failed(ReadError::unsupported("there is no such look at two tensors"))),
            },
            _ => Err(failed(ReadError::unsupported("it looks at one tensor only"))),
        }
    }

    fn summary(
        &self,
        (checkpoint, id): (&Checkpoint, TensorId),
        progress: &Progress,
    ) -> Result<ValueSummary, JobOutcome> {
        let together = scan_together(checkpoint, &[id], threads(), progress)
            .map_err(|Cancelled| JobOutcome::Cancelled)?;
        match together.left_out.first() {
            Some((_, error)) => Err(self.failed(error)),
            None => Ok(ValueSummary {
                statistics: together.statistics,
                values: together.values,
                tensors: together.tensors,
                left_out: Vec::new(),
            }),
        }
    }

    fn failed(&self, error: &ReadError) -> JobOutcome {
        if error.is_cancelled() {
            return JobOutcome::Cancelled;
        }
        let two = self.tensors();
        let name = |(checkpoint, id): (&Checkpoint, TensorId)| checkpoint.tensor(id).name.clone();
        JobOutcome::Failed(JobError::new(
            format!("Failed to read {} beside {}: {error}.", name(two.left), name(two.right)),
            matches!(error, ReadError::FileChanged).then_some("Reload the checkpoint"),
        ))
    }
}
