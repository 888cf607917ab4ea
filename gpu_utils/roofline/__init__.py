"""The roofline: what an operation costs, what a machine allows, and which of the limits binds.

A cost is compulsory: the FLOPs of the operation itself, and each input read once and each output
written once. A kernel that moves more is measured against this, not excused by it.

>>> from gpu_utils import roofline, specs
>>> cost = roofline.matmul_cost(8192, 8192, 8192)
>>> print(roofline.bound(cost, specs.get("h100"), "bf16"))
1.11 ms MODELLED, compute-bound (memory 120 µs, compute 1.11 ms)
"""

from gpu_utils.roofline.attention import (
    attention_backward_cost,
    attention_cost,
    attention_pairs,
    decode_attention_cost,
)
from gpu_utils.roofline.bounds import Bound, attainable_flops_per_s, bound, ridge_point
from gpu_utils.roofline.cost import BYTES_PER_ELEMENT, OpCost
from gpu_utils.roofline.decode import (
    LLM,
    LLMS,
    DecodeStep,
    decode_step,
    gpus_needed,
    largest_batch,
)
from gpu_utils.roofline.layers import experts_touched, matmul_cost, mlp_cost, moe_cost
from gpu_utils.roofline.rowwise import (
    add_rmsnorm_cost,
    axpby_cost,
    copy_cost,
    elementwise_cost,
    rmsnorm_cost,
    softmax_cost,
)

__all__ = [
    "BYTES_PER_ELEMENT",
    "LLM",
    "LLMS",
    "Bound",
    "DecodeStep",
    "OpCost",
    "add_rmsnorm_cost",
    "attainable_flops_per_s",
    "attention_backward_cost",
    "attention_cost",
    "attention_pairs",
    "axpby_cost",
    "bound",
    "copy_cost",
    "decode_attention_cost",
    "decode_step",
    "elementwise_cost",
    "experts_touched",
    "gpus_needed",
    "largest_batch",
    "matmul_cost",
    "mlp_cost",
    "moe_cost",
    "ridge_point",
    "rmsnorm_cost",
    "softmax_cost",
]
