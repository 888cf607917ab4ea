"""d/runs: the second function is still to be written."""

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
    raise NotImplementedError("decode_tokens_per_s")
