"""The explorer of decoding: where more memory and bandwidth pay, and where they stop to."""

from collections.abc import Mapping, Sequence
from typing import Any

from gpu_utils.roofline import BYTES_PER_ELEMENT, LLMS
from gpu_utils.specs import GPUSpec
from gpu_utils.viz.decode_answers import CEILINGS
from gpu_utils.viz.decode_plot import Decoding, decoding
from gpu_utils.viz.explorer import Explorer, choice, slider

__all__ = ["explore_decoding"]

_DTYPES = [dtype for dtype in BYTES_PER_ELEMENT if dtype not in ("tf32", "int8")]
_SLIDERS = {
    "gpus": ([2**n for n in range(7)], "how many hold one copy of the model"),
    "batch": ([2**n for n in range(13)], "sequences that are decoded together"),
    "context": ([2**n for n in range(7, 18)], "tokens in the cache of each sequence"),
}


def explore_decoding(
    model: str = "Llama 2 70B",
    parts: Sequence[str | GPUSpec] = ("h100", "mi300x"),
    *,
    gpus: int = 2,
    batch: int = 1,
    context: int = 4096,
    dtype: str = "bf16",
    ceilings: str = "data sheet",
) -> Explorer:
    """Move batch and context, and see which part decodes faster, until which is full.

    `decoding` draws the same without controls.

    Args:
        model: A name of `roofline.LLMS`, to begin with; so are all but the parts.
        parts: Names as `specs.get` takes them, or a `GPUSpec`. The last is compared with the first.
        gpus: How many hold one copy of the model.
        batch: The sequences at which the answer is given.
        context: Tokens in the cache of each.
        dtype: Of weights, caches and arithmetic.
        ceilings: "data sheet", or "reached" for the best matrix product that was published.

    Raises:
        UnknownPartError: No part has such a name.
        ValueError: An unknown model, dtype or ceiling, or a size below 1.
    """
    sizes = {"gpus": gpus, "batch": batch, "context": context}
    decoding(model, parts, dtype=dtype, ceilings=ceilings, **sizes)  # refused now, not while moved

    def draw(values: Mapping[str, Any]) -> Decoding:
        return decoding(parts=parts, **values)

    rows = [
        {
            "model": choice("model", [*LLMS], model),
            "dtype": choice("dtype", _DTYPES, dtype),
            "ceilings": choice("ceilings", CEILINGS, ceilings),
        },
        {
            name: slider(name, options, sizes[name], meaning)
            for name, (options, meaning) in _SLIDERS.items()
        },
    ]
    return Explorer("explore decoding", draw, rows)
