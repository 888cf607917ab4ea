"""Draw a small Triton kernel at random: its description.

A kernel walks an M x N space (or N alone) in tiles, loads some tensors in some way, puts an
expression of their values together, and stores, reduces or adds it up. `random_source` writes it
down; `random_twin` works the result and the bytes out, and never sees the source.

Floating-point data lie between -4 and 4. What is added up are multiples of 1/8 and few products of
them, so that sums are exact in float32 in any order. Only transcendental functions need a
tolerance.
"""

import dataclasses
import random

import torch

from tests.unit.traffic.random_operations import (
    EIGHT_BITS,
    FLOATS,
    OPERATIONS,
    Expression,
    allowed,
    operations,
)


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor argument; `layout` says how its elements lie in memory."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    layout: str = "plain"


@dataclasses.dataclass(frozen=True)
class Access:
    """One load. Kinds: full, row, col, scalar, gather (by an index tensor), shift.

    The kind product is the matrix product of `tensor` and `right`, block by block.
    """

    tensor: Tensor
    kind: str
    index: Tensor | None = None
    right: Tensor | None = None
    shift: int = 0
    guarded: bool = False  # every third column is masked off
    other: float | None = None
    hoisted: bool = False  # before the loop over the columns


@dataclasses.dataclass(frozen=True)
class Case:
    """A kernel. Sinks: store, transposed, sum, max, min, cumsum, sort, scatter, total, peak."""

    seed: int
    dims: int
    size: tuple[int, int]
    block: tuple[int, int]
    walk: str  # grid, flat, rows or persistent
    programs: int  # of a persistent grid
    compute: torch.dtype
    smooth: bool
    accesses: tuple[Access, ...]
    expression: Expression
    sink: str
    out: Tensor
    bucket: Tensor | None = None
    guarded: bool = False

    @property
    def tensors(self) -> list[Tensor]:
        loaded = [t for a in self.accesses for t in (a.tensor, a.index, a.right)]
        found = [*loaded, self.bucket, self.out]
        return list(dict.fromkeys(t for t in found if t is not None))

    def coarse(self, tensor: Tensor) -> bool:
        """Whether the values of a tensor are added up."""
        return self.sink in _ADDING or tensor.name in ("a", "b")

    @property
    def zero_has_no_sign(self) -> bool:
        """Which of 0.0 and -0.0 is the larger is nobody's promise."""
        chosen = {"min", "max", "larger", "clamp"} & operations(self.expression)
        return self.compute.is_floating_point and bool(chosen or self.sink in _CHOOSING)

    @property
    def tiles(self) -> tuple[int, int]:
        return tuple(-(-n // b) for n, b in zip(self.size, self.block, strict=True))  # type: ignore


def _expression(rng: random.Random, names: list[str], leaves: int, depth: int, muls: int) -> tuple:
    """An expression, and the number of multiplications left."""
    if depth == 0:
        return ("leaf", rng.randrange(leaves)), muls
    name = rng.choice([n for n in names if n not in ("mul", "shl") or muls])
    muls -= name in ("mul", "shl")
    arity = OPERATIONS[name][0].count("{}")
    arguments: list[Expression] = []
    for position in range(arity):
        if position and position == arity - 1 and rng.random() < 0.3:
            arguments.append(("const", rng.randrange(-12, 13)))  # the twins scale it
        else:
            part, muls = _expression(rng, names, leaves, rng.randrange(depth), muls)
            arguments.append(part)
    return (name, *arguments), muls


_OTHER_SINKS = ("sum", "max", "cumsum", "sort", "scatter", "total", "peak")
_SINKS = {
    1: ("store", "store", "store", *_OTHER_SINKS),
    2: ("store", "store", "store", "transposed", "transposed", "min", *_OTHER_SINKS),
}
_ADDING = ("sum", "cumsum", "scatter", "total")
_CHOOSING = ("max", "min", "sort")


def draw(seed: int) -> Case:
    """The kernel of a seed: every choice comes from one generator."""
    rng = random.Random(seed)
    dims = rng.choice((1, 2, 2))
    size = (rng.randint(1, 40) if dims == 2 else 1, rng.randint(1, 150))
    block = (rng.choice((2, 4, 8, 16)) if dims == 2 else 1, rng.choice((16, 32, 64)))
    sink = rng.choice(_SINKS[dims])
    smooth = rng.random() < 0.4 and sink in ("store", "transposed", "max", "min")
    kind = "float" if smooth else rng.choice(("float", "float", "integer"))
    if sink == "peak":
        kind = "integer"
    native = sink in ("store", "transposed") and not smooth and rng.random() < 0.5
    if native:
        halves = (torch.float16, torch.bfloat16, torch.bfloat16)
        compute = rng.choice(halves if kind == "float" else (torch.int8, torch.int32))
        dtypes = (compute,)
    else:
        compute = torch.float32 if kind == "float" else torch.int32
        dtypes = (
            (*FLOATS, *EIGHT_BITS, torch.int8) if kind == "float" else (torch.int32, torch.int8)
        )
    if sink in ("cumsum", "sort"):  # a row at once
        block = (block[0], 1 << (size[1] - 1).bit_length())
    walk = rng.choice(("grid", "flat", "rows", "persistent"))
    if sink in ("sum", "max", "min"):
        walk = "rows"
    adding = sink in _ADDING and compute is torch.float32
    accesses = _accesses(rng, dims, size, dtypes, walk == "rows")
    if dims == 2 and not adding and sink != "sort" and rng.random() < 0.25:
        accesses = (*accesses[1:], _product(rng, size, compute))
        block = (16, max(16, block[1]))
    names = allowed(compute, smooth)
    if adding:  # few bits, and none lost
        names = [n for n in names if n not in ("div", "through fp16", "through bf16")]
    depth = rng.randint(1, 3)
    expression, _ = _expression(rng, names, len(accesses), depth, 1 if adding else 2)
    return Case(
        seed=seed,
        dims=dims,
        size=size,
        block=block,
        walk=walk,
        programs=rng.randint(1, 5),
        compute=compute,
        smooth=smooth,
        accesses=accesses,
        expression=expression,
        sink=sink,
        out=_out(rng, sink, dims, size, compute, kind),
        bucket=Tensor("bucket", rng.choice((torch.int32, torch.int64)), size[1:])
        if sink == "scatter"
        else None,
        guarded=sink in ("store", "transposed") and rng.random() < 0.3,
    )


def _accesses(
    rng: random.Random, dims: int, size: tuple, dtypes: tuple, loops: bool
) -> tuple[Access, ...]:
    kinds = ("full", "full", "scalar", "gather", "shift", *(("row", "col") if dims == 2 else ()))
    shapes = {"row": size[:1], "col": size[1:], "scalar": (1,)}
    found: list[Access] = []
    for number in range(rng.randint(1, 3)):
        kind = rng.choice(kinds)
        dtype = rng.choice(dtypes)
        whole = kind in ("full", "gather", "shift")
        shape = (*size[:-1], rng.randint(1, 90)) if kind == "gather" else size
        shape = shape[2 - dims :] if whole else shapes[kind]
        layout = rng.choice(("plain", "plain", "padded", "gapped", "offset", "turned"))
        tensor = Tensor(f"x{number}", dtype, shape, layout if whole else "plain")
        again = [a.tensor for a in found if a.tensor.shape == shape and a.kind != "gather"]
        if again and kind in ("full", "shift") and rng.random() < 0.5:
            tensor = again[0]
        fillable = tensor.dtype not in EIGHT_BITS
        kind = "full" if kind == "shift" and not fillable else kind
        guarded = kind in ("full", "gather") and fillable and rng.random() < 0.3
        fills = guarded or kind == "shift" or (whole and fillable and rng.random() < 0.5)
        found.append(
            Access(
                tensor,
                kind,
                Tensor(f"index{number}", rng.choice((torch.int32, torch.int64)), size[1:])
                if kind == "gather"
                else None,
                shift=rng.choice((-3, -1, 1, 2)) if kind == "shift" else 0,
                guarded=guarded,
                other=rng.randint(-3, 3) if fills else None,
                hoisted=loops and kind in ("row", "scalar") and rng.random() < 0.5,
            )
        )
    return tuple(found)


def _product(rng: random.Random, size: tuple, compute: torch.dtype) -> Access:
    dtype = torch.int8
    if compute.is_floating_point:
        dtype = rng.choice((*FLOATS, torch.float8_e4m3fn))
    depth = rng.randint(1, 70)
    layouts = [rng.choice(("plain", "padded", "turned")) for _ in range(2)]
    left = Tensor("a", dtype, (size[0], depth), layouts[0])
    return Access(left, "product", right=Tensor("b", dtype, (depth, size[1]), layouts[1]))


def _out(
    rng: random.Random, sink: str, dims: int, size: tuple, compute: torch.dtype, kind: str
) -> Tensor:
    layout = "plain"
    shape: tuple[int, ...] = size[2 - dims :]
    dtype = compute
    if sink in ("store", "transposed", "cumsum", "sort"):
        floats = (*FLOATS, torch.bfloat16, *EIGHT_BITS)
        dtype = rng.choice(floats if kind == "float" else (torch.int32, torch.int8))
        layout = rng.choice(("plain", "padded", "gapped", "offset", "turned"))
        shape = shape[::-1] if sink == "transposed" else shape
    elif sink in ("sum", "max", "min"):
        shape = size[:1]
    elif sink == "scatter":
        shape = (rng.randint(1, 20),)
    else:  # one counter
        shape = (1,)
    return Tensor("out", dtype, shape, layout)
