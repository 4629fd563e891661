//! Which tensors are buffers rather than parameters, where only their name can tell.

/// Whether the last part of a `state_dict` name is a buffer of a standard PyTorch layer.
///
/// Source: the `register_buffer` calls of `torch.nn` (batch and instance norm, spectral norm,
/// fake quantisation) and of the most used model libraries (`position_ids`, `inv_freq`).
pub fn is_known_buffer(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    matches!(
        last,
        "running_mean"
            | "running_var"
            | "num_batches_tracked"
            | "position_ids"
            | "token_type_ids"
            | "inv_freq"
            | "relative_position_index"
            | "relative_coords_table"
            | "attn_mask"
            | "fake_quant_enabled"
            | "observer_enabled"
            | "min_val"
            | "max_val"
            | "eps"
            | "zero_point"
            | "_u"
            | "_v"
            | "weight_u"
            | "weight_v"
    )
}
