//! Which tensors of a `state_dict` are buffers rather than parameters, and on what evidence.
//!
//! A PyTorch file rarely marks buffers. What is left are the names that standard layers give them, and that integers cannot
//! have gradients. The evidence is kept with each tensor, so that a guess is not taken for a fact.

use std::collections::HashSet;

use super::{Dtype, Shape, TensorInfo, TensorRole};

/// Why a tensor has the role it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleEvidence {
    /// The file marks it: a `Parameter` object, a module's `_parameters` or `_buffers`, a list of buffer names.
    Declared,
    /// The file marks it as a buffer that `state_dict()` leaves out (`persistent=False`).
    NotSaved,
    /// Its name is one that standard layers give to buffers.
    BufferName,
    /// A square mask where attention layers keep theirs.
    Mask,
    /// Its elements are integers or truth values.
    Integers,
    /// The keys that lead to it name an optimizer, an average, or what is saved beside a model.
    Keys,
    /// Nothing says otherwise: floating-point values of a model.
    Assumed,
}

impl RoleEvidence {
    /// One clause for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Declared => "the file marks it so",
            Self::NotSaved => "the file marks it as one that state_dict() leaves out",
            Self::BufferName => "standard layers give this name to buffers",
            Self::Mask => "a square mask where attention layers keep theirs",
            Self::Integers => "integers and truth values have no gradients",
            Self::Keys => "the keys that lead to it say so",
            Self::Assumed => "nothing in the file says otherwise",
        }
    }
}

/// The role of a tensor in a `state_dict` whose file marks nothing. `name` is its name there, or the last part of it.
pub fn of_state_dict(name: &str, dtype: &Dtype, shape: &Shape) -> (TensorRole, RoleEvidence) {
    let mut parts = name.rsplit('.');
    let last = parts.next().unwrap_or(name);
    if is_average(name) {
        return (TensorRole::Ema, RoleEvidence::Keys);
    }
    // Weight normalisation trains its `weight_v`, which has all dimensions of the weight; that of spectral normalisation is a vector.
    let is_trained = last == "weight_v" && shape.rank() > 1;
    if is_known_buffer(name) && !is_trained {
        return (TensorRole::Buffer, RoleEvidence::BufferName);
    }
    let in_attention =
        parts.next().is_some_and(|layer| layer.contains("attn") || layer.contains("attention"));
    if in_attention && last == "bias" && is_square_mask(shape) {
        return (TensorRole::Buffer, RoleEvidence::Mask);
    }
    let quantised = matches!(dtype, Dtype::Qint8 | Dtype::Quint8 | Dtype::Qint32 | Dtype::Other(..));
    // Eight-bit weights (of bitsandbytes, for one) are parameters without gradients.
    let is_weight = last == "weight" && matches!(dtype, Dtype::Int8 | Dtype::Uint8);
    if dtype.is_float() || quantised || is_weight {
        (TensorRole::Parameter, RoleEvidence::Assumed)
    } else {
        (TensorRole::Buffer, RoleEvidence::Integers)
    }
}

/// Pruned layers keep a parameter as `X_orig` and its mask as `X_mask`, a buffer: only both names together tell.
/// Source: `BasePruningMethod.apply` in `torch/nn/utils/prune.py`.
pub fn find_pruning_masks(tensors: &mut [TensorInfo]) {
    let pruned: HashSet<String> =
        tensors.iter().filter_map(|tensor| tensor.name.strip_suffix("_orig")).map(str::to_owned).collect();
    if pruned.is_empty() {
        return;
    }
    for tensor in tensors.iter_mut().filter(|tensor| tensor.role_evidence == Some(RoleEvidence::Assumed)) {
        if tensor.name.strip_suffix("_mask").is_some_and(|name| pruned.contains(name)) {
            (tensor.role, tensor.role_evidence) = (TensorRole::Buffer, Some(RoleEvidence::BufferName));
        }
    }
}

/// `[1, 1, n, n]`: the causal mask of GPT-2, which Hugging Face and nanoGPT register as `attn.bias`.
fn is_square_mask(shape: &Shape) -> bool {
    matches!(shape.dims(), [1, 1, rows, columns] if rows == columns && *rows > 1)
}

/// Whether a name begins with what averaged copies inside one `state_dict` are kept under.
/// Source: `LitEma` of latent diffusion (`model_ema.`), `ema-pytorch` (`ema_model.`), Lightning's weight averaging.
fn is_average(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or(name);
    first != name && matches!(first, "model_ema" | "ema_model" | "ema" | "module_ema" | "shadow_params")
}

/// Whether the last part of a `state_dict` name is a buffer of a standard PyTorch layer or of the most used libraries.
///
/// Source: the `register_buffer` calls of `torch.nn`, `torch.ao.quantization`, `torchvision`, `torchaudio`, Hugging Face
/// `transformers` and `diffusers`, `fairseq` and `detectron2`.
#[expect(clippy::match_same_arms, reason = "names of one origin stand together")]
pub fn is_known_buffer(name: &str) -> bool {
    let (before, last) = name.rsplit_once('.').unwrap_or(("", name));
    let layer = before.rsplit('.').next().unwrap_or(before);
    match last {
        // Normalisation; spectral normalisation; averages of models.
        "running_mean"
        | "running_var"
        | "num_batches_tracked"
        | "weight_u"
        | "weight_v"
        | "_u"
        | "_v"
        | "n_averaged" => true,
        // Positions and masks.
        "position_ids"
        | "token_type_ids"
        | "inv_freq"
        | "original_inv_freq"
        | "cos_cached"
        | "sin_cached"
        | "freqs_cis"
        | "relative_position_index"
        | "relative_coords_table"
        | "attn_mask"
        | "causal_mask"
        | "masked_bias"
        | "_float_tensor" => true,
        // Quantisation observers.
        "fake_quant_enabled" | "observer_enabled" | "min_val" | "max_val" | "eps" | "zero_point" => true,
        "scale" => layer.ends_with("fake_quant") || layer.ends_with("post_process"),
        // Noise schedules of diffusion models.
        "betas"
        | "alphas_cumprod"
        | "alphas_cumprod_prev"
        | "sqrt_alphas_cumprod"
        | "sqrt_one_minus_alphas_cumprod"
        | "log_one_minus_alphas_cumprod"
        | "sqrt_recip_alphas_cumprod"
        | "sqrt_recipm1_alphas_cumprod"
        | "posterior_variance"
        | "posterior_log_variance_clipped"
        | "posterior_mean_coef1"
        | "posterior_mean_coef2"
        | "lvlb_weights" => true,
        // Pictures and sound; profilers; code books.
        "pixel_mean" | "pixel_std" | "anchor_grid" | "total_ops" | "total_params" | "cluster_size"
        | "embed_avg" => true,
        "window" => layer == "spectrogram",
        "fb" => layer == "mel_scale",
        "freqs" => layer == "rope",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, dtype: &Dtype, dims: &[u64]) -> TensorRole {
        of_state_dict(name, dtype, &Shape::new(dims)).0
    }

    #[test]
    fn weight_normalisation_trains_what_spectral_normalisation_keeps() {
        assert_eq!(role("conv.weight_v", &Dtype::Float32, &[8, 4, 3]), TensorRole::Parameter);
        assert_eq!(role("conv.weight_v", &Dtype::Float32, &[12]), TensorRole::Buffer);
    }

    #[test]
    fn a_causal_mask_is_no_bias() {
        for dtype in [Dtype::Float32, Dtype::Uint8, Dtype::Bool] {
            assert_eq!(role("h.0.attn.bias", &dtype, &[1, 1, 64, 64]), TensorRole::Buffer);
        }
        assert_eq!(role("h.0.attn.bias", &Dtype::Float32, &[64]), TensorRole::Parameter);
        assert_eq!(role("conv.bias", &Dtype::Float32, &[1, 1, 8, 8]), TensorRole::Parameter);
    }

    #[test]
    fn an_average_inside_a_state_dict_is_a_copy() {
        assert_eq!(role("model_ema.layerweight", &Dtype::Float32, &[3]), TensorRole::Ema);
        assert_eq!(role("ema", &Dtype::Float32, &[3]), TensorRole::Parameter);
    }

    #[test]
    fn scales_are_buffers_only_in_observers() {
        assert_eq!(role("norm.scale", &Dtype::Float32, &[3]), TensorRole::Parameter);
        assert_eq!(role("fc.activation_post_process.scale", &Dtype::Float32, &[1]), TensorRole::Buffer);
        assert_eq!(role("fc.weight_fake_quant.scale", &Dtype::Float32, &[1]), TensorRole::Buffer);
    }
}
