//! The tensors of one group in the order of a statistic: the rows of the table of statistics.
//!
//! Put in order when something changes, never per frame; for a large group by a job, while the order before stays.

use std::sync::Arc;

use super::outline::AT_ONCE;
use super::scan::{Scan, Statistic};
use super::tree::Item;
use crate::jobs::Preparation;
use crate::model::layer_tree::natural_cmp;
use crate::model::{Cancelled, Checkpoint, NodeId, Progress, TensorId};

/// What rows are sorted by; `None` is the name. The second part says whether from large to small.
pub type Order = (Option<Statistic>, bool);

/// A change of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableChange {
    /// Shows the tensors of another group.
    Show(NodeId),
    /// Sorts by a statistic, or by the name; again, the other way.
    OrderBy(Option<Statistic>),
}

/// Which tensors, and in which order.
#[derive(Debug, Clone, Default)]
pub struct TableState {
    group: Option<NodeId>,
    order: Order,
    rows: Arc<[TensorId]>,
}

/// Rows that a job made.
#[derive(Debug, Clone)]
pub struct MadeTable {
    group: NodeId,
    rows: Arc<[TensorId]>,
}

impl TableState {
    /// The group that was asked for.
    pub fn group(&self) -> Option<NodeId> {
        self.group
    }

    /// The order that was asked for.
    pub fn order(&self) -> Order {
        self.order
    }

    /// The tensors, top to bottom.
    pub fn rows(&self) -> &Arc<[TensorId]> {
        &self.rows
    }

    /// Makes a change. The rows are brought up to date at once, or by what is handed back.
    #[must_use]
    pub fn change(
        &mut self,
        checkpoint: &Arc<Checkpoint>,
        scan: &Arc<Scan>,
        change: TableChange,
    ) -> Option<Preparation> {
        match change {
            TableChange::Show(group) => {
                self.group = Some(group);
                self.rows = Arc::default();
            }
            TableChange::OrderBy(column) => {
                let (chosen, descending) = self.order;
                // Numbers from large to small first, names from a to z.
                self.order = (column, if chosen == column { !descending } else { column.is_some() });
            }
        }
        self.renew(checkpoint, scan)
    }

    /// Brings the rows up to date when a scan found more and they depend on it. Those of a large group follow when the
    /// scan has ended.
    #[must_use]
    pub fn scan_changed(
        &mut self,
        checkpoint: &Arc<Checkpoint>,
        scan: &Arc<Scan>,
        ended: bool,
    ) -> Option<Preparation> {
        let follow = self.order.0.is_some() && (ended || self.rows.len() <= AT_ONCE);
        if follow { self.renew(checkpoint, scan) } else { None }
    }

    /// Takes in rows that a job made.
    pub fn prepared(&mut self, made: &MadeTable) {
        if self.group == Some(made.group) {
            self.rows = made.rows.clone();
        }
    }

    #[must_use]
    fn renew(&mut self, checkpoint: &Arc<Checkpoint>, scan: &Arc<Scan>) -> Option<Preparation> {
        let (group, order) = (self.group?, self.order);
        if checkpoint.layer_tree().node(group).total_tensors > AT_ONCE as u64 {
            let (checkpoint, scan) = (checkpoint.clone(), scan.clone());
            return Some(Preparation::new(move |progress| {
                Ok(MadeTable { group, rows: in_order(&checkpoint, &scan, group, order, progress)? })
            }));
        }
        if let Ok(rows) = in_order(checkpoint, scan, group, order, &Progress::new()) {
            self.rows = rows;
        }
        None
    }
}

fn in_order(
    checkpoint: &Checkpoint,
    scan: &Scan,
    group: NodeId,
    (column, descending): Order,
    progress: &Progress,
) -> Result<Arc<[TensorId]>, Cancelled> {
    let mut rows = checkpoint.layer_tree().tensors_under(group);
    progress.advance(0)?;
    let Some(statistic) = column else {
        let name = |id: TensorId| checkpoint.tensor(id).name.as_str();
        rows.sort_unstable_by(|&a, &b| natural_cmp(name(a), name(b)).then(a.cmp(&b)));
        if descending {
            rows.reverse();
        }
        return Ok(rows.into());
    };
    // Unknown values come last, whichever the direction.
    let mut keyed: Vec<(Option<f64>, TensorId)> =
        rows.iter().map(|&id| (scan.value(Item::Tensor(id), statistic), id)).collect();
    progress.advance(0)?;
    keyed.sort_unstable_by(|a, b| match (a.0, b.0) {
        (Some(x), Some(y)) if descending => y.total_cmp(&x).then(a.1.cmp(&b.1)),
        (Some(x), Some(y)) => x.total_cmp(&y).then(a.1.cmp(&b.1)),
        (x, y) => y.is_some().cmp(&x.is_some()).then(a.1.cmp(&b.1)),
    });
    Ok(keyed.into_iter().map(|(_, id)| id).collect())
}
