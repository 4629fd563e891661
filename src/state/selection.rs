//! Which tensors of a checkpoint are selected for export, with running totals.
//!
//! Not the row that is shown in the inspector, which is [`super::TreeState::selected`]. Counts per group are kept up to
//! date at each change, so that drawing a row asks nothing of the tensors below it.

use super::tree::{Item, Row};
use crate::jobs::export::Choice;
use crate::model::{Checkpoint, NodeId, TensorId, TensorRole};

/// The selection of one checkpoint.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    /// By tensor.
    marked: Vec<bool>,
    /// By group: selected tensors at any depth.
    below: Vec<u32>,
    totals: MarkTotals,
    /// Where a range begins.
    anchor: Option<Item>,
}

/// What is selected, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MarkTotals {
    /// Tensors.
    pub tensors: u64,
    /// Their elements.
    pub elements: u64,
    /// Bytes of their values.
    pub bytes: u64,
}

/// How much of a row is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// Nothing.
    No,
    /// Some tensors of a group.
    Partly,
    /// All of it.
    Yes,
}

/// A change of the selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkChange {
    /// Selects a row with all that is in it, or takes it out.
    Toggle(Item),
    /// The same for the row that is shown in the inspector.
    ToggleShown,
    /// Selects a row with all that is in it; a range may follow.
    Begin(Item),
    /// Selects all rows from the last one that was toggled to this one.
    Extend(Item),
    /// The same, to the row that is shown in the inspector.
    ExtendShown,
    /// All tensors.
    All,
    /// Those that pass the filter; without one, all.
    Matching,
    /// Parameters.
    Parameters,
    /// All but optimizer state and gradients.
    WithoutOptimizer,
    /// The averaged copy.
    Averages,
    /// Exactly what is not selected.
    Invert,
    /// Nothing.
    Clear,
}

impl MarkChange {
    /// What menus call it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Toggle(_) | Self::ToggleShown | Self::Begin(_) => "Select for export",
            Self::Extend(_) | Self::ExtendShown => "Select up to here",
            Self::All => "Select all tensors",
            Self::Matching => "Select all that match the filter",
            Self::Parameters => "Select all parameters",
            Self::WithoutOptimizer => "Select all but the optimizer",
            Self::Averages => "Select the averaged copy (EMA)",
            Self::Invert => "Invert selection",
            Self::Clear => "Clear selection",
        }
    }
}

impl Marks {
    /// Counts of what is selected.
    pub fn totals(&self) -> MarkTotals {
        self.totals
    }

    /// Whether nothing is selected.
    pub fn is_empty(&self) -> bool {
        self.totals.tensors == 0
    }

    /// How much of a row is selected.
    pub fn of(&self, checkpoint: &Checkpoint, item: Item) -> Marked {
        match item {
            Item::Tensor(id) if self.has(id) => Marked::Yes,
            Item::Tensor(_) => Marked::No,
            Item::Group(id) => match self.below.get(id.0 as usize).map_or(0, |&count| u64::from(count)) {
                0 => Marked::No,
                count if count == checkpoint.layer_tree().node(id).total_tensors => Marked::Yes,
                _ => Marked::Partly,
            },
        }
    }

    /// What is selected, in file order.
    pub fn tensors(&self) -> Vec<TensorId> {
        let marked = self.marked.iter().enumerate().filter(|(_, marked)| **marked);
        marked.map(|(index, _)| TensorId(index as u32)).collect()
    }

    /// Makes a change. `rows` are those of the tree, `shown` the one in the inspector, and `passes` tells which tensors
    /// pass the filter.
    pub fn change(
        &mut self,
        checkpoint: &Checkpoint,
        change: &MarkChange,
        rows: &[Row],
        shown: Option<Item>,
        passes: &dyn Fn(TensorId) -> bool,
    ) {
        let role = |id, role| checkpoint.tensor(id).role == role;
        match *change {
            MarkChange::Toggle(item) => self.toggle(checkpoint, item, passes),
            MarkChange::ToggleShown => {
                if let Some(item) = shown {
                    self.toggle(checkpoint, item, passes);
                }
            }
            MarkChange::Begin(item) => {
                for id in inside(checkpoint, item, passes) {
                    self.set(checkpoint, id, true);
                }
                self.anchor = Some(item);
            }
            MarkChange::Extend(item) => self.extend(checkpoint, item, rows, passes),
            MarkChange::ExtendShown => {
                if let Some(item) = shown {
                    self.extend(checkpoint, item, rows, passes);
                }
            }
            MarkChange::All => self.replace(checkpoint, &|_| true),
            MarkChange::Matching => self.replace(checkpoint, passes),
            MarkChange::Parameters => self.replace(checkpoint, &|id| role(id, TensorRole::Parameter)),
            MarkChange::Averages => self.replace(checkpoint, &|id| role(id, TensorRole::Ema)),
            MarkChange::WithoutOptimizer => {
                let mut kept = vec![false; checkpoint.tensors().len()];
                for id in Choice::without_optimizer().of(checkpoint) {
                    if let Some(kept) = kept.get_mut(id.index()) {
                        *kept = true;
                    }
                }
                self.replace(checkpoint, &|id| kept.get(id.index()).copied().unwrap_or(false));
            }
            MarkChange::Invert => {
                let before = self.marked.clone();
                self.replace(checkpoint, &|id| !before.get(id.index()).copied().unwrap_or(false));
            }
            MarkChange::Clear => *self = Self::default(),
        }
    }

    fn has(&self, id: TensorId) -> bool {
        self.marked.get(id.index()).copied().unwrap_or(false)
    }

    fn replace(&mut self, checkpoint: &Checkpoint, wanted: &dyn Fn(TensorId) -> bool) {
        for (id, _) in checkpoint.tensors() {
            self.set(checkpoint, id, wanted(id));
        }
        self.anchor = None;
    }

    /// A group that is not wholly selected becomes so; with a filter only what passes it is touched.
    fn toggle(&mut self, checkpoint: &Checkpoint, item: Item, passes: &dyn Fn(TensorId) -> bool) {
        let inside = inside(checkpoint, item, passes);
        let on = !inside.iter().all(|&id| self.has(id));
        for id in inside {
            self.set(checkpoint, id, on);
        }
        self.anchor = Some(item);
    }

    fn extend(&mut self, checkpoint: &Checkpoint, to: Item, rows: &[Row], passes: &dyn Fn(TensorId) -> bool) {
        let place = |item: Item| rows.iter().position(|row| row.item == item);
        let Some(end) = place(to) else { return };
        let start = self.anchor.and_then(place).unwrap_or(end);
        let range = rows.get(start.min(end)..=start.max(end)).unwrap_or_default();
        for row in range {
            // An open group's tensors are rows of their own.
            if row.open && matches!(row.item, Item::Group(_)) {
                continue;
            }
            for id in inside(checkpoint, row.item, passes) {
                self.set(checkpoint, id, true);
            }
        }
        self.anchor.get_or_insert(to);
    }

    fn set(&mut self, checkpoint: &Checkpoint, id: TensorId, on: bool) {
        if self.marked.is_empty() {
            self.marked = vec![false; checkpoint.tensors().len()];
            self.below = vec![0; checkpoint.layer_tree().len()];
        }
        let Some(marked) = self.marked.get_mut(id.index()).filter(|marked| **marked != on) else { return };
        *marked = on;
        let tensor = checkpoint.tensor(id);
        let totals = &mut self.totals;
        let step = |total: u64, by: u64| if on { total.saturating_add(by) } else { total.saturating_sub(by) };
        totals.tensors = step(totals.tensors, 1);
        totals.elements = step(totals.elements, tensor.elements());
        totals.bytes = step(totals.bytes, tensor.bytes());
        let tree = checkpoint.layer_tree();
        let mut at: Option<NodeId> = Some(tree.parent_of(id));
        while let Some(node) = at {
            if let Some(count) = self.below.get_mut(node.0 as usize) {
                *count = if on { *count + 1 } else { count.saturating_sub(1) };
            }
            at = tree.node(node).parent;
        }
    }
}

/// The tensors that a row stands for.
fn inside(checkpoint: &Checkpoint, item: Item, passes: &dyn Fn(TensorId) -> bool) -> Vec<TensorId> {
    let mut tensors = match item {
        Item::Tensor(id) => vec![id],
        Item::Group(id) => checkpoint.layer_tree().tensors_under(id),
    };
    tensors.retain(|&id| passes(id));
    tensors
}
