//! What the name of a measured quantity tells: whether it is one, which way is better, which side of the data it is of.
//!
//! Names are all there is: no format says that `val_f1` is to be large. What a name does not tell stays unknown.

use super::series::AxisKind;

/// Which values of a metric are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Smaller ones: losses and errors.
    Min,
    /// Larger ones: accuracies and scores.
    Max,
}

impl Direction {
    /// Whether `a` is better than `b`. NaN is better than nothing and worse than everything else.
    pub fn is_better(self, a: f64, b: f64) -> bool {
        match self {
            _ if a.is_nan() => false,
            _ if b.is_nan() => true,
            Self::Min => a < b,
            Self::Max => a > b,
        }
    }

    /// `min` or `max`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    /// From `min` or `max`, as frameworks write their `mode`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "min" => Some(Self::Min),
            "max" => Some(Self::Max),
            _ => None,
        }
    }
}

/// Quantities of which less is better.
const SMALLER: &[&str] = &[
    "loss",
    "error",
    "err",
    "mae",
    "mse",
    "rmse",
    "mape",
    "smape",
    "msle",
    "rmsle",
    "nll",
    "bce",
    "ce",
    "crossentropy",
    "entropy",
    "perplexity",
    "ppl",
    "bpc",
    "bpb",
    "bpd",
    "wer",
    "cer",
    "eer",
    "fid",
    "kid",
    "lpips",
    "divergence",
    "kl",
    "kld",
    "distance",
    "regret",
    "residual",
    "cost",
    "brier",
    "ece",
    "huber",
    "hinge",
    "logloss",
    "chamfer",
    "epe",
    "deviation",
    "merror",
    "mlogloss",
    "der",
    "ber",
    "hd",
    "hausdorff",
    "assd",
    "rel",
    "bits",
    "mcd",
    "dcf",
    "xent",
    "wasserstein",
];

/// Quantities of which more is better.
const LARGER: &[&str] = &[
    "acc",
    "accuracy",
    "auc",
    "auroc",
    "auprc",
    "roc",
    "f1",
    "f2",
    "fscore",
    "fbeta",
    "precision",
    "recall",
    "sensitivity",
    "specificity",
    "score",
    "bleu",
    "rouge",
    "meteor",
    "cider",
    "map",
    "map50",
    "map95",
    "ap",
    "iou",
    "miou",
    "dice",
    "jaccard",
    "reward",
    "return",
    "psnr",
    "ssim",
    "r2",
    "correlation",
    "corr",
    "pearson",
    "spearman",
    "kappa",
    "mcc",
    "top1",
    "top5",
    "hit",
    "ndcg",
    "mrr",
    "success",
    "elo",
    "em",
    "fitness",
    "likelihood",
    "elbo",
    "pesq",
    "stoi",
    "sdr",
    "snr",
    "sisdr",
    "win",
    "prec",
    "f1score",
    "dsc",
    "rew",
    "match",
    "nmi",
    "sacrebleu",
    "chrf",
    "spearmanr",
    "pearsonr",
    "sisnr",
    "explained",
    "concordance",
];

/// Quantities that are followed over training without being better either way.
const FOLLOWED: &[&str] =
    &["lr", "grad", "gradient", "throughput", "temperature", "momentum", "epsilon", "kimg", "speed"];

/// Sides of the data that a model is judged by.
const EVALUATION: &[&str] = &["val", "valid", "validation", "eval", "evaluation", "test", "dev", "heldout"];

/// The words of a name in lower case, without their plural: `val_losses` and `valLoss` are `val`, `loss`.
pub fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in name.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
        let mut word = String::new();
        let first = words.len();
        let mut previous_is_lower = false;
        for c in part.chars() {
            // `mAP` is one word, `trainLoss` two.
            if c.is_uppercase() && previous_is_lower && word.chars().count() > 1 {
                words.push(std::mem::take(&mut word));
            }
            previous_is_lower = c.is_lowercase();
            word.extend(c.to_lowercase());
        }
        words.push(word);
        // `IoU` and `mIoU` are one word in spite of their capitals.
        let mut at = first;
        while let Some([one, other]) = words.get(at..at + 2) {
            let both = format!("{one}{other}");
            if direction_of(&both).is_some() && direction_of(other).is_none() {
                words.splice(at..at + 2, [both]);
            }
            at += 1;
        }
    }
    for word in &mut words {
        let singular = match word.as_str() {
            "losses" => "loss",
            "accuracies" => "accuracy",
            "aucs" | "accs" | "errors" | "scores" | "rewards" | "metrics" | "lrs" | "grads" | "maes"
            | "hits" => &word[..word.len() - 1],
            _ => continue,
        };
        *word = singular.to_owned();
    }
    words
}

/// Which values of a word are better. A number behind it is one of the same: `acc1`, `rouge2`.
fn direction_of(word: &str) -> Option<Direction> {
    let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_one_of = |list: &[&str]| list.contains(&word) || (stem.len() > 1 && list.contains(&stem));
    if is_one_of(SMALLER) {
        Some(Direction::Min)
    } else if is_one_of(LARGER) {
        Some(Direction::Max)
    } else {
        None
    }
}

/// Which values are better, as far as the name tells. Of several words the last decides: `dice_loss` is a loss.
pub fn default_direction(name: &str) -> Option<Direction> {
    let words = words(name);
    let found = words.iter().rev().find_map(|word| direction_of(word))?;
    let is_negated = words.iter().any(|word| word == "neg" || word == "negative");
    Some(match (found, is_negated) {
        (Direction::Min, false) | (Direction::Max, true) => Direction::Min,
        (Direction::Max, false) | (Direction::Min, true) => Direction::Max,
    })
}

/// Whether a name is that of something measured during training.
pub fn is_metric(name: &str) -> bool {
    let words = words(name);
    let is_rate = words.windows(2).any(|pair| pair[0] == "learning" && pair[1] == "rate");
    is_rate || words.iter().any(|word| direction_of(word).is_some() || FOLLOWED.contains(&word.as_str()))
}

/// Whether a name says that it was measured on data that was not trained on.
pub fn is_evaluation(name: &str) -> bool {
    words(name).iter().any(|word| EVALUATION.contains(&word.as_str()))
}

/// What a metric is called without its side of the data: `val_loss`, `eval/loss` and `train_loss` are all `loss`.
pub fn without_side(name: &str) -> String {
    let kept: Vec<String> = words(name)
        .into_iter()
        .filter(|word| {
            !EVALUATION.contains(&word.as_str()) && !matches!(word.as_str(), "train" | "training" | "epoch")
        })
        .map(|word| match word.as_str() {
            "acc" => "accuracy".to_owned(),
            _ => word,
        })
        .collect();
    kept.join("_")
}

/// What a column or key counts, where it counts training rather than measures it.
pub fn axis_of(name: &str) -> Option<AxisKind> {
    let name = name.trim().to_ascii_lowercase().replace([' ', '-', '/'], "_");
    Some(match name.trim_start_matches('_') {
        "step"
        | "steps"
        | "global_step"
        | "global_steps"
        | "trainer_global_step"
        | "iteration"
        | "iterations"
        | "iter"
        | "iters"
        | "iter_num"
        | "num_updates"
        | "n_iter"
        | "current_step"
        | "total_steps"
        | "update"
        | "global_iter"
        | "completed_steps"
        | "num_steps"
        | "itr"
        | "n_iters"
        | "timesteps"
        | "timesteps_total"
        | "total_timesteps"
        | "time_total_timesteps"
        | "training_iteration" => AxisKind::Step,
        "epoch" | "epochs" | "current_epoch" | "epoch_num" | "n_epoch" | "epoch_idx" | "cur_epoch"
        | "epoch_id" => AxisKind::Epoch,
        "wall_time" | "walltime" | "timestamp" | "time_stamp" | "wall_clock" => AxisKind::Time,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_which_way_is_better() {
        for (name, direction) in [
            ("val_loss", Some(Direction::Min)),
            ("train_losses", Some(Direction::Min)),
            ("val_accs", Some(Direction::Max)),
            ("metrics/mAP_0.5", Some(Direction::Max)),
            ("dice_loss", Some(Direction::Min)),
            ("top1_error", Some(Direction::Min)),
            ("neg_mean_squared_error", Some(Direction::Max)),
            ("validMSE", Some(Direction::Min)),
            ("best_acc1", Some(Direction::Max)),
            ("eval/mIoU", Some(Direction::Max)),
            ("valIoU", Some(Direction::Max)),
            ("rougeL", Some(Direction::Max)),
            ("test_rouge2", Some(Direction::Max)),
            ("test_acc1", Some(Direction::Max)),
            ("hd95", Some(Direction::Min)),
            ("minDCF", Some(Direction::Min)),
            ("bits_per_byte", Some(Direction::Min)),
            ("eval_exact_match", Some(Direction::Max)),
            ("explained_variance", Some(Direction::Max)),
            ("rollout/ep_rew_mean", Some(Direction::Max)),
            ("learning_rate", None),
            ("temperature", None),
        ] {
            assert_eq!(default_direction(name), direction, "{name}");
        }
    }

    #[test]
    fn a_nan_is_never_the_best() {
        for direction in [Direction::Min, Direction::Max] {
            assert!(direction.is_better(1.0, f64::NAN) && !direction.is_better(f64::NAN, 1.0));
        }
    }

    #[test]
    fn sides_of_the_data_are_told_apart_from_the_metric() {
        assert!(is_evaluation("eval/loss") && is_evaluation("val_acc") && !is_evaluation("train_loss"));
        assert_eq!(
            (without_side("val_acc"), without_side("Train/Accuracy")),
            ("accuracy".into(), "accuracy".into())
        );
        assert!(is_metric("grad_norm") && is_metric("lr") && !is_metric("betas"));
        assert_eq!(
            (axis_of("global_step"), axis_of("Wall time")),
            (Some(AxisKind::Step), Some(AxisKind::Time))
        );
    }
}
