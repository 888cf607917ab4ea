"""Lab 05: shapes that the hardware likes.

Lesson: notebooks/05_hardware_shapes.ipynb. About 75 minutes; the core task (a) about 20.

Write your code where a TODO stands, save, and run the checks in labs/lab05_hardware_shapes.ipynb,
or in a terminal:

    ridge check lab05        all tasks
    ridge check lab05:a      one task
    ridge hint lab05:a       the first of three hints

An efficiency is a share of time or of work that is of use: 1 at best, never 0. The kernel of (b)
and (c) is your own `matmul` of lab 04, which the functions get as an argument; where that is not
written yet, or wrong, the check takes the solution's and says so.
"""

import dataclasses
from collections.abc import Callable

import torch

from gpu_utils import codegen
from gpu_utils.specs import GPUSpec


@dataclasses.dataclass(frozen=True)
class Tile:
    """How a product is cut up. It has the fields of lab 04's Config, and is good as one."""

    BLOCK_M: int = 128
    BLOCK_N: int = 128
    BLOCK_K: int = 64
    GROUP_M: int = 8
    num_warps: int = 8
    num_stages: int = 3


def check_positive(**values: int) -> None:
    """Raise a ValueError that names the first value below 1."""
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


# (a) core: whole tiles and whole waves. Begin each function with a call of check_positive.


def tile_efficiency(M: int, N: int, K: int, tile: Tile) -> float:
    """Of the multiply-adds that whole tiles do in whole steps, the share that [M, N] needs.

    A tile is BLOCK_M x BLOCK_N results, a step BLOCK_K terms of each of their sums. What is masked
    is multiplied all the same.
    """
    # TODO: about 5 lines
    raise NotImplementedError("tile_efficiency")


def wave_efficiency(programs: int, slots: int) -> float:
    """Of the time of whole waves, the share in which a slot has a program.

    `slots` programs run at once, all equally long; a wave ends when they end, and the next begins.
    """
    # TODO: about 3 lines
    raise NotImplementedError("wave_efficiency")


def product_efficiency(M: int, N: int, K: int, tile: Tile, spec: GPUSpec) -> float:
    """The share of a part's multiply-adds that are of use while it computes [M, K] @ [K, N].

    One program a tile, and as many slots as the part has SMs (spec.sm_count, None where nobody
    knows it).

    Raises:
        LookupError: the number of SMs is unknown; the message names it.
    """
    # TODO: about 4 lines
    raise NotImplementedError("product_efficiency")


# (b) extra: one element less. matmul(a, b, None, None, tile) is lab 04's, the tile may be left out.

Matmul = Callable[..., torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Code:
    """What the compiler made of a product; `fits` is False where no block of it would launch."""

    async_copies: int  # from global to shared memory, past the registers
    registers: int  # of a thread
    spill_bytes: int  # of a thread
    fits: bool


def look(M: int, N: int, K: int, target: str, matmul: Matmul, tile: Tile | None = None) -> Code:
    """Compile a bfloat16 [M, K] @ [K, N] for a target such as "sm_90", and read what came of it.

    Both factors are contiguous and on the "meta" device: they have a shape, and no memory. A tile
    that is too large for the target is no error here: it compiles, and its code says that it does
    not fit.
    """
    # TODO: about 4 lines
    raise NotImplementedError("look")


def aligned(length: int) -> int:
    """The least multiple of 16 that is not below `length`, which is at least 1."""
    # TODO: about 2 lines
    raise NotImplementedError("aligned")


def check_factors(a: torch.Tensor, b: torch.Tensor) -> None:
    """Refuse what `padded` does not promise, by name; given."""
    for name, x in (("a", a), ("b", b)):
        if x.ndim != 2 or 0 in x.shape or x.stride(1) != 1:
            raise ValueError(
                f"{name} must have two dimensions, none of them 0, and neighbours in each row; got "
                f"shape {tuple(x.shape)} with strides {x.stride()}: take {name}.contiguous()"
            )
    if a.shape[1] != b.shape[0] or a.dtype != b.dtype:
        raise ValueError(
            f"expected a [M, K] and b [K, N] of one dtype, got {[*a.shape]} in {a.dtype} and "
            f"{[*b.shape]} in {b.dtype}"
        )


def padded(a: torch.Tensor, b: torch.Tensor, matmul: Matmul) -> torch.Tensor:
    """a @ b by one call of matmul(x, y), whose compiler may assume lengths that 16 divides.

    Args:
        a: [M, K], any lengths from 1; rows may lie any number of elements apart.
        b: [K, N], likewise, of the dtype of a.
        matmul: lab 04's.

    Returns:
        [M, N]; its rows may lie further apart than N.

    K and N are padded to `aligned` and no further, M not at all. A factor whose length and
    distance between rows suit already is passed as it is, since a copy is a pass over memory.
    """
    check_factors(a, b)
    # TODO: about 9 lines, of which a second function may be part
    raise NotImplementedError("padded")


# (c) extra: seven billion parameters, for a part

TOKENS = 2048  # one sequence, in one step
TOKENIZER = 50_257  # tokens that the vocabulary must have room for: GPT-2's
# A tile for each part, large enough for its tensor cores and small enough to launch.
TILES = {
    "h100": Tile(BLOCK_N=256, num_stages=4),
    "b200": Tile(BLOCK_N=256, num_stages=4),
    "mi300x": Tile(num_stages=2),
}


@dataclasses.dataclass(frozen=True)
class Shape:
    """A decoder of the Llama kind: gated MLPs, an output layer of its own."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int


def products(shape: Shape) -> list[tuple[int, int, int]]:
    """(how often, N, K) of each product tokens x [K, N] in a forward pass; attention is left out.

    Given. In order: queries, keys and values; what goes back into the stream; gate and up; down;
    the output layer.
    """
    attended = shape.heads * shape.head_dim
    kept = 2 * shape.kv_heads * shape.head_dim
    return [
        (shape.layers, attended + kept, shape.hidden),
        (shape.layers, shape.hidden, attended),
        (shape.layers, 2 * shape.ffn, shape.hidden),
        (shape.layers, shape.hidden, shape.ffn),
        (1, shape.vocabulary, shape.hidden),
    ]


def parameters(shape: Shape) -> int:
    """All that is stored: a weight for each (N, K) of each product, and the embedding."""
    # TODO: about 2 lines
    raise NotImplementedError("parameters")


def model_efficiency(shape: Shape, tokens: int, tile: Tile, spec: GPUSpec) -> float:
    """Multiply-adds of all products over those that the part could do in their time.

    A product of `product_efficiency` e takes the time of useful / e.
    """
    # TODO: about 5 lines
    raise NotImplementedError("model_efficiency")


def shape_for(part: str) -> Shape:
    """Seven billion parameters, within 2 %, for an "h100", a "b200" or an "mi300x".

    With TOKENS tokens and the part's tile in TILES its model_efficiency is at least 0.97, and in
    the compiled code of all its products every load is 128 bits wide. heads * head_dim is hidden,
    kv_heads divides heads, head_dim is 64, 128 or 256, ffn is 2 to 5 times hidden, there are 16 to
    64 layers; the vocabulary holds TOKENIZER and at most 2 % more.

    Raises:
        ValueError: another part; the message names those that are known.
    """
    # TODO: about 9 lines
    raise NotImplementedError("shape_for")
