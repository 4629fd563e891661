//! Closer looks at two tensors together: the difference over a plane, and the values of both.

use std::sync::Arc;

use ckptscope::analysis::pairing::{Pair, Pairing, PairingOptions};
use ckptscope::analysis::slice::{Plane, Window, value_dims};
use ckptscope::jobs::{
    Against, CheckpointId, HeatMap, JobOutcome, JobOutput, JobRequest, Look, LookKey, Looked,
};
use ckptscope::model::{Checkpoint, Progress};

use crate::support::{folder, open};

/// Two checkpoints of `fixtures/compare`, and the pairs of their tensors.
struct Two {
    left: Arc<Checkpoint>,
    right: Arc<Checkpoint>,
    pairing: Pairing,
}

impl Two {
    fn open(name: &str, ending: &str) -> Self {
        let side =
            |side: &str| Arc::new(open(&folder().join(format!("compare/{name}_{side}.{ending}"))).unwrap());
        let (left, right) = (side("left"), side("right"));
        let pairing = Pairing::of(&left, &right, &PairingOptions::default());
        Self { left, right, pairing }
    }

    fn pair(&self, name: &str) -> &Pair {
        let id = self.left.find(name).unwrap();
        self.pairing.pairs.iter().find(|pair| pair.left == id).unwrap()
    }

    fn look(&self, pair: &Pair, look: impl FnOnce(Against) -> Look) -> JobOutcome {
        let against = Against { checkpoint: CheckpointId(2), tensor: pair.right, axes: pair.axes.clone() };
        let request = JobRequest::Look {
            key: LookKey { checkpoint: CheckpointId(1), tensor: pair.left, look: look(against) },
            checkpoint: self.left.clone(),
            other: Some(self.right.clone()),
        };
        ckptscope::jobs::run::run(&request, &Progress::new(), &|_| {})
    }

    fn plane(&self, pair: &Pair) -> Plane {
        Plane::of_last_axes(&value_dims(self.right.tensor(pair.right)))
    }

    fn difference(&self, pair: &Pair) -> HeatMap {
        let plane = self.plane(pair);
        let look = |against| Look::Beside(against, Box::new(Look::Picture(plane, 64, 64)));
        match looked(self.look(pair, look)).as_ref() {
            Looked::Picture(map) => map.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn values(&self, pair: &Pair) -> (Window, Window) {
        let plane = self.plane(pair);
        match looked(self.look(pair, |against| Look::Beside(against, Box::new(Look::Window(plane))))).as_ref()
        {
            Looked::Windows(left, right) => (left.clone(), right.clone()),
            other => panic!("{other:?}"),
        }
    }
}

fn looked(outcome: JobOutcome) -> Arc<Looked> {
    match outcome {
        JobOutcome::Finished(JobOutput::Looked(looked)) => looked,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_changed_value_is_one_cell_of_the_difference() {
    let two = Two::open("fine_tune", "pt");
    let pair = two.pair("model.blocks.11.attn.weight");
    let map = two.difference(pair);
    assert_eq!((map.grid.down, map.grid.across, map.grid.is_exact), (8, 8, true));
    let changed: Vec<usize> = (0..64).filter(|&index| map.grid.cells[index].mean != 0.0).collect();
    assert_eq!(changed, [2 * 8 + 3], "the script multiplies [2, 3] by -1.5");
    let (left, right) = two.values(pair);
    let number = |window: &Window| window.element(2, 3).unwrap().to_string().parse::<f64>().unwrap();
    let (before, after) = (number(&left), number(&right));
    assert!((after / before + 1.5).abs() < 1e-6);
    assert!((f64::from(map.grid.cells[2 * 8 + 3].mean) - (after - before)).abs() < 1e-6);
}

#[test]
fn a_kernel_whose_axes_are_turned_is_subtracted_value_by_value() {
    let two = Two::open("turned", "safetensors");
    let turned: Vec<&Pair> = two.pairing.pairs.iter().filter(|pair| pair.axes.is_some()).collect();
    assert!(turned.len() >= 2, "a matrix and a convolution at least");
    for pair in turned {
        let (left, right) = two.values(pair);
        let map = two.difference(pair);
        for row in 0..right.rows {
            for column in 0..right.columns {
                let number = |window: &Window| {
                    window.element(row, column).unwrap().to_string().parse::<f64>().unwrap()
                };
                let cell = map.grid.cell(row, column).unwrap();
                assert!((f64::from(cell.mean) - (number(&right) - number(&left))).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn tensors_of_other_shapes_have_histograms_and_no_difference() {
    let two = Two::open("fine_tune", "pt");
    let pair = two.pair("model.embed.weight");
    let plane = two.plane(pair);
    let outcome = two.look(pair, |against| Look::Beside(against, Box::new(Look::Picture(plane, 8, 8))));
    assert!(matches!(outcome, JobOutcome::Failed(error) if error.message.contains("different shapes")));
    match looked(two.look(pair, Look::Both)).as_ref() {
        Looked::Both(both) => {
            assert_eq!([both[0].statistics.count, both[1].statistics.count], [24 * 8, 26 * 8]);
        }
        other => panic!("{other:?}"),
    }
}
