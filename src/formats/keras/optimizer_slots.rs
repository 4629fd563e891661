//! Which of an optimizer's numbered variables belongs to which weight.
//!
//! Pure. Keras saves `/optimizer/vars/0, 1, …`: counters, then slots of every trained weight in the order of the model.
//! Names are given only where the optimizer's class is known and every shape fits; otherwise the numbers stay.
//! Source: `build` of each class in `keras/src/optimizers`, `add_optimizer_variables` in `base_optimizer.py`.

use serde_json::Value as Json;

use super::config::snake_case;
use super::settings::flag;

/// A trained weight: the keys that lead to it, and its dimensions.
pub(super) type Trained<'a> = (&'a [String], &'a [u64]);

/// The keys of each variable inside the optimizer. `name` is what the file calls the optimizer, `config` its entry in the
/// model's `compile_config`.
pub(super) fn names(
    name: Option<&str>,
    config: Option<&Json>,
    variables: &[&[u64]],
    trained: &[Trained],
) -> Option<Vec<Vec<String>>> {
    let class = match config.and_then(|config| config.get("class_name")).and_then(Json::as_str) {
        Some(class) => snake_case(class),
        None => name?.to_owned(),
    };
    let settings = config.and_then(|config| config.get("config")).unwrap_or(&Json::Null);
    if flag(settings, "amsgrad", false)
        || settings.get("gradient_accumulation_steps").is_some_and(|steps| !steps.is_null())
    {
        return None;
    }
    // Slots that stand together for each weight; of several lists one follows the other.
    let mut blocks: Vec<&[&str]> = Vec::new();
    if flag(settings, "use_ema", false) {
        blocks.push(&["average"]);
    }
    match class.as_str() {
        "adam" | "adamw" | "adam_w" | "nadam" | "lamb" => blocks.push(&["momentum", "velocity"]),
        "adamax" => blocks.push(&["momentum", "norm"]),
        "adagrad" => blocks.push(&["accumulator"]),
        "ftrl" => blocks.push(&["accumulator", "linear"]),
        "lion" => blocks.push(&["momentum"]),
        "sgd" => blocks.push(&["momentum"]),
        "rmsprop" | "rms_prop" => {
            blocks.push(&["velocity"]);
            if settings.get("momentum").and_then(Json::as_f64).is_some_and(|momentum| momentum > 0.0) {
                blocks.push(&["momentum"]);
            }
            if flag(settings, "centered", false) {
                blocks.push(&["average_gradient"]);
            }
        }
        _ => return None,
    }
    let slots = blocks.iter().map(|block| block.len()).sum::<usize>().checked_mul(trained.len())?;
    let counters = match variables.len().checked_sub(slots) {
        // Without momentum there is nothing but the counters.
        None if class == "sgd" => {
            blocks.clear();
            variables.len()
        }
        counters => counters?,
    };
    let counter_names: &[&str] = match (counters, class.as_str()) {
        (1, _) => &["iteration"],
        (2, _) => &["iteration", "learning_rate"],
        (3, "nadam") => &["iteration", "learning_rate", "u_product"],
        _ => return None,
    };
    if variables.iter().take(counters).any(|dims| !dims.is_empty()) {
        return None;
    }
    let mut names: Vec<Vec<String>> = counter_names.iter().map(|name| vec![(*name).to_owned()]).collect();
    for block in blocks {
        for (path, dims) in trained {
            for slot in block {
                if variables.get(names.len())? != dims {
                    return None;
                }
                names.push(path.iter().cloned().chain([(*slot).to_owned()]).collect());
            }
        }
    }
    (names.len() == variables.len()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_named_after_their_weights_only_when_all_shapes_fit() {
        let kernel = ["d".to_owned(), "kernel".to_owned()];
        let bias = ["d".to_owned(), "bias".to_owned()];
        let trained: [Trained; 2] = [(&kernel, &[2, 3]), (&bias, &[3])];
        let fitting: [&[u64]; 6] = [&[], &[], &[2, 3], &[2, 3], &[3], &[3]];
        let found = names(Some("adam"), None, &fitting, &trained).expect("named");
        assert_eq!(found[1], ["learning_rate"]);
        assert_eq!(found[3], ["d", "kernel", "velocity"]);
        let other: [&[u64]; 6] = [&[], &[], &[2, 3], &[3], &[2, 3], &[3]];
        assert_eq!(names(Some("adam"), None, &other, &trained), None);
        assert_eq!(names(Some("mine"), None, &fitting, &trained), None);
    }
}
