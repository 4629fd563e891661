//! How the weights of each layer moved over a series of checkpoints.
//!
//! Fed with the differences of tensors, pair by pair, by whoever reads them ([`DriftBuilder`]); norms are Euclidean over all
//! parameters of a layer together. Values that are not finite on either side are in no sum and are counted.

use std::collections::HashMap;

use super::diff::ValueDiff;

/// One layer over all checkpoints. Each list has one entry per checkpoint, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LayerDrift {
    /// Its path.
    pub layer: String,
    /// Norm of its parameters; NaN where the checkpoint lacks them.
    pub norm: Vec<f64>,
    /// Norm of the change since the first checkpoint, as a fraction of the first norm. 0 for the first.
    pub from_first: Vec<f64>,
    /// Norm of the change since the checkpoint before, as a fraction of its norm there: the update ratio. NaN for the first.
    pub update: Vec<f64>,
    /// Values that are NaN or infinite.
    pub not_finite: Vec<u64>,
}

/// What happened to a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriftKind {
    /// Values became NaN or infinite.
    NotFinite,
    /// Its norm fell to less than a thousandth.
    Died,
    /// Its norm grew more than tenfold from one checkpoint to the next.
    Exploded,
    /// It stopped moving while others went on.
    Froze,
    /// It never moved while others did: it may be frozen on purpose.
    NeverMoved,
}

impl DriftKind {
    /// In words that follow the layer's name.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotFinite => "became NaN or infinite",
            Self::Died => "died: its norm fell to less than a thousandth",
            Self::Exploded => "exploded: its norm grew more than tenfold",
            Self::Froze => "froze: it did not move any more",
            Self::NeverMoved => "never moved",
        }
    }
}

/// Something that happened to a layer at a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriftEvent {
    /// Position in [`Drift::layers`].
    pub layer: usize,
    /// Position of the first checkpoint that shows it.
    pub at: usize,
    /// What happened.
    pub kind: DriftKind,
}

/// The movement of all layers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drift {
    /// Names of the checkpoints, in order.
    pub checkpoints: Vec<String>,
    /// In the order of the first checkpoint.
    pub layers: Vec<LayerDrift>,
    /// What happened, in order of checkpoints.
    pub events: Vec<DriftEvent>,
    /// What could not be read, as sentences.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    norm: f64,
    from_first: f64,
    first: f64,
    step: f64,
    before: f64,
    not_finite: u64,
    parts: u32,
}

/// Gathers squares by layer and checkpoint.
#[derive(Debug, Default)]
pub struct DriftBuilder {
    checkpoints: Vec<String>,
    layers: Vec<(String, Vec<Sums>)>,
    index: HashMap<String, usize>,
    /// The comparison from which the norms of the first checkpoint are taken.
    first_norms_at: Option<usize>,
    problems: Vec<String>,
}

impl DriftBuilder {
    /// For checkpoints of these names, in order.
    pub fn new(checkpoints: Vec<String>) -> Self {
        Self { checkpoints, ..Self::default() }
    }

    fn sums(&mut self, layer: &str, at: usize) -> Option<&mut Sums> {
        let columns = self.checkpoints.len();
        let layers = &mut self.layers;
        let index = *self.index.entry(layer.to_owned()).or_insert_with(|| {
            layers.push((layer.to_owned(), vec![Sums::default(); columns]));
            layers.len() - 1
        });
        self.layers.get_mut(index)?.1.get_mut(at)
    }

    /// Adds a tensor's change from the first checkpoint that could be read, at `first`, to the one at `at`.
    pub fn since_first(&mut self, layer: &str, first: usize, at: usize, diff: &ValueDiff) {
        if *self.first_norms_at.get_or_insert(at) == at
            && let Some(first) = self.sums(layer, first)
        {
            first.norm += diff.l2_left.powi(2);
            first.parts += 1;
        }
        if let Some(sums) = self.sums(layer, at) {
            sums.norm += diff.l2_right.powi(2);
            sums.from_first += diff.l2.powi(2);
            sums.first += diff.l2_left.powi(2);
            sums.not_finite += diff.not_finite;
            sums.parts += 1;
        }
    }

    /// Adds a tensor's change to the checkpoint at `at` from the one before.
    pub fn since_before(&mut self, layer: &str, at: usize, diff: &ValueDiff) {
        if let Some(sums) = self.sums(layer, at) {
            sums.step += diff.l2.powi(2);
            sums.before += diff.l2_left.powi(2);
        }
    }

    /// Says that something could not be read.
    pub fn problem(&mut self, message: String) {
        if self.problems.len() < 100 {
            self.problems.push(message);
        }
    }

    /// The movement, and what happened.
    pub fn finish(self) -> Drift {
        let ratio = |change: f64, of: f64| if change == 0.0 { 0.0 } else { (change / of).sqrt() };
        let layers: Vec<LayerDrift> = self
            .layers
            .into_iter()
            .map(|(layer, columns)| {
                // A sum over what is left beside NaN would look like a norm.
                let known = |value: f64, sums: &Sums| {
                    if sums.parts == 0 || sums.not_finite > 0 { f64::NAN } else { value }
                };
                let each = |value: &dyn Fn(usize, &Sums) -> f64| -> Vec<f64> {
                    columns.iter().enumerate().map(|(at, sums)| known(value(at, sums), sums)).collect()
                };
                LayerDrift {
                    layer,
                    norm: each(&|_, sums| sums.norm.sqrt()),
                    from_first: each(&|at, sums| {
                        if at == 0 { 0.0 } else { ratio(sums.from_first, sums.first) }
                    }),
                    update: each(&|at, sums| if at == 0 { f64::NAN } else { ratio(sums.step, sums.before) }),
                    not_finite: columns.iter().map(|sums| sums.not_finite).collect(),
                }
            })
            .collect();
        let events = events(&layers, self.checkpoints.len());
        Drift { checkpoints: self.checkpoints, layers, events, problems: self.problems }
    }
}

/// What happened to which layer, by rules over norms and update ratios.
fn events(layers: &[LayerDrift], columns: usize) -> Vec<DriftEvent> {
    // What became NaN has moved, however far.
    let moves = |layer: &LayerDrift, at: usize| {
        let is_ill = layer.not_finite.get(at).is_some_and(|count| *count > 0);
        is_ill || layer.update.get(at).is_some_and(|update| *update > 0.0)
    };
    let others_move = |own: usize, at: usize| {
        layers.iter().enumerate().any(|(index, layer)| index != own && moves(layer, at))
    };
    let mut found = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let mut add = |at: usize, kind: DriftKind| found.push(DriftEvent { layer: index, at, kind });
        if let Some(at) = layer.not_finite.iter().position(|&count| count > 0) {
            add(at, DriftKind::NotFinite);
        }
        let mut largest = 0.0f64;
        let (mut is_dead, mut is_exploding) = (false, false);
        for at in 0..columns {
            let norm = layer.norm.get(at).copied().unwrap_or(f64::NAN);
            let before =
                at.checked_sub(1).and_then(|before| layer.norm.get(before)).copied().unwrap_or(f64::NAN);
            if !is_dead && largest > 0.0 && norm < largest * 1e-3 {
                is_dead = true;
                add(at, DriftKind::Died);
            }
            let explodes = before > 0.0 && norm > before * 10.0;
            if explodes && !is_exploding {
                add(at, DriftKind::Exploded);
            }
            is_exploding = explodes;
            largest = largest.max(norm);
        }
        // The steps at the end in which it stood still.
        let last_move = (1..columns).rev().find(|&at| moves(layer, at));
        let still_from = last_move.map_or(1, |at| at + 1);
        let stood = (still_from..columns).filter(|&at| others_move(index, at)).count();
        match last_move {
            None if stood > 0 => add(still_from, DriftKind::NeverMoved),
            // One step without movement may be chance: a checkpoint saved twice.
            Some(_) if stood > 1 => add(still_from, DriftKind::Froze),
            _ => {}
        }
    }
    found.sort_by_key(|event| (event.at, event.layer));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(norm: &[f64], update: &[f64]) -> LayerDrift {
        LayerDrift {
            layer: "fc".into(),
            norm: norm.to_vec(),
            from_first: vec![0.0; norm.len()],
            update: update.to_vec(),
            not_finite: vec![0; norm.len()],
        }
    }

    #[test]
    fn a_layer_of_nan_is_not_dead_and_one_that_goes_on_growing_explodes_once() {
        let mut builder = DriftBuilder::new(["a", "b", "c", "d"].map(str::to_owned).to_vec());
        for at in 1..4 {
            let norm = 20f64.powi(at as i32);
            let ill = ValueDiff { l2_left: 1.0, l2_right: 0.0, not_finite: 5, ..ValueDiff::default() };
            let grown = ValueDiff { l2: norm, l2_left: 1.0, l2_right: norm, ..ValueDiff::default() };
            builder.since_first("ill", 0, at, &ill);
            builder.since_first("grown", 0, at, &grown);
            builder.since_before("grown", at, &ValueDiff { l2_left: norm / 20.0, ..grown });
        }
        let drift = builder.finish();
        assert!(drift.layers[0].norm[1].is_nan());
        let found: Vec<_> = drift.events.iter().map(|event| (event.layer, event.at, event.kind)).collect();
        assert_eq!(found, [(0, 1, DriftKind::NotFinite), (1, 1, DriftKind::Exploded)]);
    }

    #[test]
    fn layers_that_die_explode_or_freeze_are_found_at_their_checkpoint() {
        let nan = f64::NAN;
        let layers = [
            layer(&[1.0, 1.1, 1.2, 1.3, 1.4], &[nan, 0.1, 0.1, 0.1, 0.1]),
            layer(&[1.0, 1.0, 1e-5, 1e-5, 1e-5], &[nan, 0.1, 1.0, 0.1, 0.1]),
            layer(&[1.0, 1.0, 50.0, 50.0, 50.0], &[nan, 0.1, 49.0, 0.1, 0.1]),
            layer(&[1.0, 1.1, 1.1, 1.1, 1.1], &[nan, 0.1, 0.0, 0.0, 0.0]),
            layer(&[1.0, 1.0, 1.0, 1.0, 1.0], &[nan, 0.0, 0.0, 0.0, 0.0]),
        ];
        let found: Vec<(usize, usize, DriftKind)> =
            events(&layers, 5).into_iter().map(|event| (event.layer, event.at, event.kind)).collect();
        let expected = [
            (4, 1, DriftKind::NeverMoved),
            (1, 2, DriftKind::Died),
            (2, 2, DriftKind::Exploded),
            (3, 2, DriftKind::Froze),
        ];
        assert_eq!(found, expected);
    }
}
