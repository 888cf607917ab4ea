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

    ### BEGIN SOLUTION
    Each of the three lengths is rounded up to its own block, so the shares multiply. M = 1 with
    BLOCK_M = 128 is 1/128: a single token pays for a whole tile of them. Round in integers:
    -(-M // block) is a quotient rounded up.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 5 lines
    check_positive(M=M, N=N, K=K)
    done = 1
    for length, block in ((M, tile.BLOCK_M), (N, tile.BLOCK_N), (K, tile.BLOCK_K)):
        done *= -(-length // block) * block
    return M * N * K / done
    ### END SOLUTION


def wave_efficiency(programs: int, slots: int) -> float:
    """Of the time of whole waves, the share in which a slot has a program.

    `slots` programs run at once, all equally long; a wave ends when they end, and the next begins.

    ### BEGIN SOLUTION
    The last wave takes as long as a full one, however few programs are in it: one more than full
    is barely half used. The share grows with the number of waves, since only the last is lost; and
    so the loss is large for small products and small batches.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 3 lines
    check_positive(programs=programs, slots=slots)
    waves = -(-programs // slots)
    return programs / (waves * slots)
    ### END SOLUTION


def product_efficiency(M: int, N: int, K: int, tile: Tile, spec: GPUSpec) -> float:
    """The share of a part's multiply-adds that are of use while it computes [M, K] @ [K, N].

    One program a tile, and as many slots as the part has SMs (spec.sm_count, None where nobody
    knows it).

    Raises:
        LookupError: the number of SMs is unknown; the message names it.

    ### BEGIN SOLUTION
    Useful of what is done, times done of what could be done. SMs are the slots even where two
    programs share one: they also share its tensor cores, so that two take twice as long as one.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 4 lines
    useful = tile_efficiency(M, N, K, tile)
    tiles = -(-M // tile.BLOCK_M) * -(-N // tile.BLOCK_N)
    return useful * wave_efficiency(tiles, spec.require("sm_count"))
    ### END SOLUTION


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

    ### BEGIN SOLUTION
    codegen.compile returns one artifact for each launch, and a product is one launch.
    count("async copy") counts a class of instructions: LDGSTS on NVIDIA, none on an MI300X, whose
    copies all pass through registers.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 4 lines
    a, b = (torch.empty(s, dtype=torch.bfloat16, device="meta") for s in ((M, K), (K, N)))
    (built,) = codegen.compile(matmul, a, b, None, None, tile, target=target)
    copies = built.count("async copy")
    return Code(copies, built.registers, built.spill_bytes, built.fits)
    ### END SOLUTION


def aligned(length: int) -> int:
    """The least multiple of 16 that is not below `length`, which is at least 1.

    ### BEGIN SOLUTION
    Triton tells its compiler one thing of an integer: whether 16 divides it. So 4104, which 8
    divides, counts no more than 4095 does.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 2 lines
    check_positive(length=length)
    return -(-length // 16) * 16
    ### END SOLUTION


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

    ### BEGIN SOLUTION
    What is padded must be 0 in both factors: 0 times what torch.empty left there may be NaN. Zeros
    add nothing to a sum, and the columns past N are cut off by a view, which moves no byte. M needs
    nothing: no load and no store is contiguous along it. In a model, pad once, when the weights
    are made; here each call pays for its copies.
    ### END SOLUTION
    """
    check_factors(a, b)
    ### BEGIN SOLUTION: about 9 lines, of which a second function may be part
    M, K, N = a.shape[0], aligned(a.shape[1]), aligned(b.shape[1])
    return matmul(_widened(a, M, K), _widened(b, K, N))[:, : b.shape[1]]


def _widened(x: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """`x` in the corner of a matrix of zeros, or `x` itself if nothing is gained by that."""
    if x.shape == (rows, columns) and x.stride(0) % 16 == 0:
        return x
    wide = torch.zeros((rows, columns), dtype=x.dtype, device=x.device)
    wide[: x.shape[0], : x.shape[1]] = x
    return wide
    ### END SOLUTION


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
    """All that is stored: a weight for each (N, K) of each product, and the embedding.

    ### BEGIN SOLUTION
    The embedding is a table of vocabulary x hidden numbers, looked up and not multiplied. Norms
    are left out: fewer than one in 10,000.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 2 lines
    stored = sum(times * N * K for times, N, K in products(shape))
    return stored + shape.vocabulary * shape.hidden
    ### END SOLUTION


def model_efficiency(shape: Shape, tokens: int, tile: Tile, spec: GPUSpec) -> float:
    """Multiply-adds of all products over those that the part could do in their time.

    A product of `product_efficiency` e takes the time of useful / e.

    ### BEGIN SOLUTION
    Times add up, efficiencies do not: a product that is half as efficient takes twice the time,
    and weighs as much as its multiply-adds. The mean of the efficiencies would let one output
    layer count like 28 MLPs.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 5 lines
    useful = time = 0.0
    for times, N, K in products(shape):
        work = times * tokens * N * K
        useful += work
        time += work / product_efficiency(tokens, N, K, tile, spec)
    return useful / time
    ### END SOLUTION


def shape_for(part: str) -> Shape:
    """Seven billion parameters, within 2 %, for an "h100", a "b200" or an "mi300x".

    With TOKENS tokens and the part's tile in TILES its model_efficiency is at least 0.97, and in
    the compiled code of all its products every load is 128 bits wide. heads * head_dim is hidden,
    kv_heads divides heads, head_dim is 64, 128 or 256, ffn is 2 to 5 times hidden, there are 16 to
    64 layers; the vocabulary holds TOKENIZER and at most 2 % more.

    Raises:
        ValueError: another part; the message names those that are known.

    ### BEGIN SOLUTION
    Count tiles. 2048 tokens are 16 rows of tiles. On an H100 a hidden size of 4096 is 16 columns
    of 256: 256 tiles in two waves of 132, 97 %; grouped queries of 4096 + 2048 are 384 tiles in
    three, 97 %; an ffn of 16896 = 132 x 128 has 132 columns for gate and up together, 16 full
    waves. On a B200 4608 is 18 columns: 288 of 296; with all keys and values 54: 864 of 888; and
    14208 = 148 x 96 has 111 columns, 1776 tiles, 12 full waves. An MI300X has tiles of 128 columns
    and 304 = 16 x 19 slots: whatever is a multiple of 19 x 128 = 2432 fills its waves, so 4864 and
    9728. None of these three is at home on the other two parts.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 9 lines
    shapes = {
        "h100": Shape(26, 4096, 32, 8, 128, 16896, 50304),
        "b200": Shape(23, 4608, 36, 36, 128, 14208, 50304),
        "mi300x": Shape(28, 4864, 38, 38, 128, 9728, 50304),
    }
    if part not in shapes:
        raise ValueError(f"no shape for {part!r}; known: {', '.join(shapes)}")
    return shapes[part]
    ### END SOLUTION
