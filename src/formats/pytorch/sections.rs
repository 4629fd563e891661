//! What the parts of a checkpoint are for, told by the keys that lead to them.
//!
//! Training scripts agree on no names, but use few. What no key tells stays undecided.

/// What a part of a checkpoint is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Not decided yet: the outer dictionaries of a checkpoint.
    Outer,
    /// A model's tensors; `base` keys lead to its `state_dict`, once that is found.
    Model {
        /// Keys before those of the `state_dict`.
        base: Option<usize>,
    },
    /// An averaged copy of a model's.
    Ema,
    /// Optimizer state.
    Optimizer,
    /// Beside the model.
    Other,
}

impl Section {
    /// What the value of an outer dictionary's key is for.
    pub fn of_key(key: &str) -> Self {
        let words: Vec<&str> = key.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let any =
            |known: &[&str]| words.iter().any(|word| known.contains(&word.to_ascii_lowercase().as_str()));
        if any(&["optimizer", "optimizers", "optim", "optimiser", "opt"]) {
            Section::Optimizer
        } else if any(&["ema", "swa", "averaged", "averaging", "shadow"]) {
            Section::Ema
        } else if any(&[
            "scheduler",
            "schedulers",
            "scaler",
            "rng",
            "random",
            "callbacks",
            "loops",
            "metrics",
            "history",
            "args",
            "hparams",
            "config",
            "hyper",
            "loss",
            "losses",
        ]) {
            Section::Other
        } else if is_model_word(key) {
            Section::Model { base: None }
        } else {
            Section::Outer
        }
    }
}

/// Keys under which training scripts store a model.
pub fn is_model_word(key: &str) -> bool {
    matches!(
        key.to_ascii_lowercase().as_str(),
        "state_dict"
            | "model"
            | "model_state_dict"
            | "model_state"
            | "model_dict"
            | "modelstate"
            | "module"
            | "net"
            | "network"
            | "weights"
            | "params"
            | "parameters"
            | "generator"
            | "discriminator"
            | "teacher"
            | "student"
            | "encoder"
            | "decoder"
            | "backbone"
            | "net_state_dict"
            | "network_state_dict"
            | "model_weights"
    ) || key.to_ascii_lowercase().ends_with("model_state_dict")
}

/// Whether a key looks like a parameter of a module: a dotted path or a usual last part.
pub fn is_parameter_name(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    matches!(last, "weight" | "bias" | "kernel" | "running_mean") || last.starts_with("weight_")
}
