"""d/correct: steps a second, not tokens."""

from gpu_utils.roofline import BYTES_PER_ELEMENT


def gpus_needed(model, spec, batch, context, dtype):
    for name, value in (("batch", batch), ("context", context)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    parameters = (
        model.embedding_parameters
        + model.shared_parameters
        + model.experts * model.expert_parameters
    )
    cached = 2 * model.layers * model.kv_heads * model.head_dim * batch * context
    stored = (parameters + cached) * BYTES_PER_ELEMENT[dtype]
    gpus = 1
    while stored > gpus * 0.9 * spec.require("memory_bytes"):
        gpus *= 2
    return gpus


def decode_tokens_per_s(model, spec, batch, context, dtype):
    gpus, nbytes = gpus_needed(model, spec, batch, context, dtype), BYTES_PER_ELEMENT[dtype]
    bandwidth = gpus * spec.require("memory_bandwidth_bytes_per_s")
    peak = gpus * spec.peak(dtype)
    touched = model.experts * (1 - (1 - model.active / model.experts) ** batch)
    read = model.shared_parameters + touched * model.expert_parameters
    used = model.shared_parameters + model.active * model.expert_parameters
    products_s = max(read * nbytes / bandwidth, 2 * used * batch / peak)
    tokens = batch * context
    cached = 2 * model.layers * model.kv_heads * model.head_dim * tokens
    scores = 4 * model.layers * model.heads * model.head_dim * tokens
    attention_s = max(cached * nbytes / bandwidth, scores / peak)
    return 1 / (products_s + attention_s)
