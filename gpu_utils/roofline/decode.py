"""One step of decoding with a whole language model: what it reads, and how many GPUs hold it."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from gpu_utils.roofline.bounds import Bound, bound
from gpu_utils.roofline.cost import OpCost, bytes_per_element, check_sizes
from gpu_utils.roofline.layers import experts_touched
from gpu_utils.specs import GPUSpec

__all__ = ["LLM", "LLMS", "USABLE", "DecodeStep", "decode_step", "gpus_needed", "largest_batch"]

# The share of its memory that a GPU gives to weights and caches; the rest is for activations and
# the program. MLPerf's configurations and serving programs leave about a tenth.
USABLE = 0.9


@dataclasses.dataclass(frozen=True)
class LLM:
    """What of a language model decides its speed.

    A mixture of experts has `experts` of `expert_parameters` each, in all layers together, of which
    a token uses `active`. The MLPs of a dense model are one expert, which every token uses.

    Args:
        name: To print.
        layers: How many have a cache.
        heads: Of the queries.
        kv_heads: Of keys and values; fewer than heads if several share one.
        head_dim: Of each.
        shared_parameters: What every token is multiplied with: attention, routers, the last layer.
        expert_parameters: Of one expert in all layers.
        experts, active: How many there are, and how many a token uses.
        embedding_parameters: Stored, but only looked up: a row for each token.
    """

    name: str
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    shared_parameters: int
    expert_parameters: int
    experts: int = 1
    active: int = 1
    embedding_parameters: int = 0

    @classmethod
    def of(
        cls,
        name: str,
        layers: int,
        d_model: int,
        heads: int,
        kv_heads: int,
        d_hidden: int,
        vocabulary: int,
        *,
        experts: int = 1,
        active: int = 1,
    ) -> "LLM":
        """A model of the Llama kind: gated MLPs, grouped heads, an output layer of its own.

        Norms are left out, which are fewer than one parameter in 20,000.

        >>> model = LLM.of("tiny", 2, 8, 4, 2, 16, 100)
        >>> model.shared_parameters  # 2 layers of 8*8 (Q) + 2*8*4 (K, V) + 8*8 (out); 8*100
        1184
        >>> model.expert_parameters, model.parameters  # 2 * 3*8*16; with an embedding of 800
        (768, 2752)
        """
        head_dim = d_model // heads
        attention = 2 * d_model * d_model + 2 * d_model * kv_heads * head_dim
        router = d_model * experts if experts > 1 else 0
        return cls(
            name,
            layers,
            heads,
            kv_heads,
            head_dim,
            shared_parameters=layers * (attention + router) + d_model * vocabulary,
            expert_parameters=layers * 3 * d_model * d_hidden,
            experts=experts,
            active=active,
            embedding_parameters=d_model * vocabulary,
        )

    @property
    def parameters(self) -> int:
        """All that is stored."""
        experts = self.experts * self.expert_parameters
        return self.embedding_parameters + self.shared_parameters + experts

    @property
    def active_parameters(self) -> int:
        """What one token is multiplied with."""
        return self.shared_parameters + self.active * self.expert_parameters

    def cache_bytes(self, tokens: int, dtype: str) -> float:
        """The keys and values of so many tokens."""
        check_sizes(tokens=tokens)
        return 2 * self.layers * self.kv_heads * self.head_dim * tokens * bytes_per_element(dtype)


# Source: the models' config.json as published by Meta and Mistral AI.
LLMS: Mapping[str, LLM] = MappingProxyType(
    {
        model.name: model
        for model in (
            LLM.of("Llama 3.1 8B", 32, 4096, 32, 8, 14336, 128256),
            LLM.of("Llama 2 70B", 80, 8192, 64, 8, 28672, 32000),
            LLM.of("Llama 3.1 405B", 126, 16384, 128, 8, 53248, 128256),
            LLM.of("Mixtral 8x7B", 32, 4096, 32, 8, 14336, 32000, experts=8, active=2),
        )
    }
)


@dataclasses.dataclass(frozen=True)
class DecodeStep:
    """One token more for each sequence of a batch, MODELLED.

    Attributes:
        gpus: How many hold the model and the caches.
        batch: The sequences.
        weights: The products with weights, which the batch shares; on all GPUs.
        attention: The attention over the caches, of which each sequence has its own.
    """

    gpus: int
    batch: int
    weights: Bound
    attention: Bound

    @property
    def time_s(self) -> float:
        """The two one after the other: a layer's attention waits for its products."""
        return self.weights.time_s + self.attention.time_s

    @property
    def tokens_per_s(self) -> float:
        """Of all sequences and GPUs together."""
        return self.batch / self.time_s

    @property
    def tokens_per_s_per_gpu(self) -> float:
        """What a GPU earns."""
        return self.tokens_per_s / self.gpus

    @property
    def tokens_per_s_per_user(self) -> float:
        """What each of the batch's users sees."""
        return 1 / self.time_s


def gpus_needed(llm: LLM, spec: GPUSpec, batch: int, context: int, dtype: str) -> int:
    """The fewest of 1, 2, 4, 8, ... GPUs whose memory holds the weights and the caches.

    weights + caches <= gpus * 0.9 * memory

    A power of two, since heads and matrices are cut into equal parts.

    >>> from gpu_utils import specs
    >>> model = LLMS["Llama 2 70B"]  # 138 GB in 16 bits
    >>> [gpus_needed(model, specs.get(part), 1, 4096, "bf16") for part in ("h100", "mi300x")]
    [2, 1]
    """
    check_sizes(batch=batch, context=context)
    stored = llm.parameters * bytes_per_element(dtype) + llm.cache_bytes(batch * context, dtype)
    memory, gpus = spec.require("memory_bytes"), 1
    while stored > gpus * USABLE * memory:
        gpus *= 2
    return gpus


def largest_batch(llm: LLM, spec: GPUSpec, gpus: int, context: int, dtype: str) -> int:
    """How many sequences find room for their caches beside the weights; 0 if not one does.

    batch = (gpus * 0.9 * memory - weights) / cache of one

    At the largest batch a step reads all of the memory that is used, so it takes as long as that
    memory takes to read: what a larger memory buys is more sequences in each step.

    >>> from gpu_utils import specs
    >>> model, parts = LLMS["Llama 2 70B"], [specs.get(part) for part in ("h100", "mi300x")]
    >>> [largest_batch(model, spec, 2, 4096, "bf16") for spec in parts]  # 6.0 and 207.6 / 1.342 GB
    [4, 154]
    """
    check_sizes(gpus=gpus, context=context)
    weights = llm.parameters * bytes_per_element(dtype)
    left = gpus * USABLE * spec.require("memory_bytes") - weights
    return max(0, int(left // llm.cache_bytes(context, dtype)))


def decode_step(
    llm: LLM, spec: GPUSpec, batch: int, context: int, dtype: str, *, gpus: int | None = None
) -> DecodeStep:
    """The least time of one step: every weight that is needed is read once, and every cache.

    The GPUs share all evenly, and what they have to say to each other is left out, so more than
    one need longer than this. Weights, caches and arithmetic are all in `dtype`.

    Args:
        llm: The model.
        spec: The part.
        batch: Sequences that are decoded together.
        context: Tokens in the cache of each.
        dtype: Such as "bf16".
        gpus: How many; `gpus_needed` if None.

    Raises:
        UnknownFigureError: The part's memory, bandwidth or peak for `dtype` is unknown.
        ValueError: A size below 1, an unknown dtype, or GPUs that cannot hold it.

    >>> from gpu_utils import specs
    >>> step = decode_step(LLMS["Llama 2 70B"], specs.get("h100"), 1, 4096, "bf16")
    >>> step.gpus, round(step.tokens_per_s)  # (137.4 + 1.3) GB from two of 3.35 TB/s
    (2, 48)
    """
    needed = gpus_needed(llm, spec, batch, context, dtype)
    if gpus is not None and largest_batch(llm, spec, gpus, context, dtype) < batch:
        raise ValueError(
            f"gpus must hold {llm.name} in {dtype} with {batch} caches of {context} tokens: "
            f"{gpus} x {spec.name} do not; {needed} do"
        )
    gpus = gpus or needed
    all_of_them = dataclasses.replace(
        spec,
        memory_bandwidth_bytes_per_s=gpus * spec.require("memory_bandwidth_bytes_per_s"),
        peak_flops_per_s={dtype: gpus * spec.peak(dtype)},
    )
    touched = experts_touched(batch, llm.experts, llm.active)
    read = llm.shared_parameters + touched * llm.expert_parameters
    products = OpCost(2 * llm.active_parameters * batch, read * bytes_per_element(dtype))
    tokens = batch * context
    scores = 4 * llm.layers * llm.heads * llm.head_dim * tokens
    attention = OpCost(scores, llm.cache_bytes(tokens, dtype))
    return DecodeStep(
        gpus,
        batch,
        weights=bound(products, all_of_them, dtype),
        attention=bound(attention, all_of_them, dtype),
    )
