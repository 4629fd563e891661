//! What the keys that lead to numbers say about them: measurements, or settings and state of the machinery.

use crate::model::metric::{is_metric, words};

/// Words of keys below which numbers are settings or state of the machinery, not measurements.
const SETTINGS: &[&str] = &[
    "optimizer",
    "optimizers",
    "optim",
    "scheduler",
    "schedulers",
    "sched",
    "config",
    "configuration",
    "cfg",
    "arg",
    "args",
    "arguments",
    "hparams",
    "hyper",
    "hyperparameters",
    "kwargs",
    "options",
    "opt",
    "settings",
    "rng",
    "random",
    "seed",
    "seeds",
    "betas",
    "param",
    "params",
    "groups",
    "shape",
    "shapes",
    "size",
    "sizes",
    "dim",
    "dims",
    "kernel",
    "stride",
    "strides",
    "dilation",
    "padding",
    "pool",
    "milestones",
    "anchors",
    "id",
    "ids",
    "indices",
    "index",
    "idx",
    "classes",
    "class",
    "labels",
    "label",
    "vocab",
    "token",
    "tokens",
    "normalize",
    "normalization",
    "gpu",
    "gpus",
    "devices",
    "axes",
    "axis",
    "bins",
    "thresholds",
    "quantiles",
    "weights",
    "weight",
    "matrix",
    "confusion",
    "splits",
    "loops",
    "scaler",
    "version",
    "ratios",
    "ratio",
];

/// Words of keys under which trainers keep what they measured.
const HISTORY: &[&str] = &[
    "history",
    "histories",
    "hist",
    "log",
    "logs",
    "logged",
    "metric",
    "record",
    "records",
    "curve",
    "curves",
    "progress",
    "tracker",
    "stats",
    "monitor",
    "results",
];

/// Whether numbers under these keys are settings.
pub(super) fn is_setting(path: &[&str]) -> bool {
    path.iter().any(|key| words(key).iter().any(|word| SETTINGS.contains(&word.as_str())))
}

/// Whether the keys speak of measuring.
pub(super) fn is_measured(path: &[&str]) -> bool {
    !is_setting(path)
        && path
            .iter()
            .any(|key| is_metric(key) || words(key).iter().any(|word| HISTORY.contains(&word.as_str())))
}
