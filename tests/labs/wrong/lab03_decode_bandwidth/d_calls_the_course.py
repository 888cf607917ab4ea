"""d/correct: gpu_utils.roofline does it."""

import dataclasses

from gpu_utils import roofline


def _llm(model):
    return roofline.LLM("mine", **dataclasses.asdict(model))


def gpus_needed(model, spec, batch, context, dtype):
    return roofline.gpus_needed(_llm(model), spec, batch, context, dtype)


def decode_tokens_per_s(model, spec, batch, context, dtype):
    return roofline.decode_step(_llm(model), spec, batch, context, dtype).tokens_per_s
