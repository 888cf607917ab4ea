"""Which lane holds which element of a block: the layouts of Triton's GPU dialect, read from text.

A layout gives each (warp, lane, register) one element. Triton's are linear over bits: the
element's coordinates are the XOR of one basis vector per set bit of the register, lane and warp
numbers. All kinds of layout become such bases here, so that one rule reads them all.
"""

import dataclasses
import functools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["Layout", "parse"]

Basis = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Layout:
    """A block's elements over registers, lanes and warps.

    Attributes:
        shape: of the block, () for a scalar.
        registers, lanes, warps: one basis vector of coordinates per bit, lowest bit first. A zero
            vector means that both values of the bit hold the same elements.

    >>> halves = Layout((8,), registers=((1,),), lanes=((2,), (4,)), warps=())
    >>> halves.elements().tolist()  # one warp of four lanes with two registers each
    [[[0, 1], [2, 3], [4, 5], [6, 7]]]
    """

    shape: tuple[int, ...]
    registers: tuple[Basis, ...]
    lanes: tuple[Basis, ...]
    warps: tuple[Basis, ...]

    def elements(self, owners_only: bool = False) -> np.ndarray:
        """Row-major number of the element at each (warp, lane, register), int64.

        Registers that repeat another one's element are left out, as the compiler leaves them out
        of loads and stores.

        Args:
            owners_only: -1 at all but the first of the threads that hold the same elements.
        """
        strides = [math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape))]

        def span(bases: Iterable[Basis]) -> np.ndarray:
            # Coordinates stay below a power of two each, so that XOR acts on each alone.
            numbers = np.zeros(1, dtype=np.int64)
            for basis in bases:
                step = sum(x * stride for x, stride in zip(basis, strides, strict=True))
                numbers = np.concatenate([numbers, numbers ^ step])
            return numbers

        def first(bases: Iterable[Basis]) -> np.ndarray:
            owner = np.ones(1, dtype=bool)
            for basis in bases:
                owner = np.concatenate([owner, owner & any(basis)])
            return owner

        registers = span(basis for basis in self.registers if any(basis))
        warp, lane = span(self.warps)[:, None], span(self.lanes)[None, :]
        elements = (warp ^ lane)[:, :, None] ^ registers[None, None, :]
        if owners_only:
            owner = first(self.warps)[:, None] & first(self.lanes)[None, :]
            elements = np.where(owner[:, :, None], elements, -1)
        return elements


class _Tile:
    """Bases under construction: each `add` takes up where the last one along that axis ended."""

    def __init__(self, rank: int) -> None:
        self.size = [1] * rank
        self.bases: dict[str, list[Basis]] = {"register": [], "lane": [], "warp": []}

    def add(self, who: str, count: int, axis: int) -> None:
        for _ in range(int(count).bit_length() - 1):
            basis = [0] * len(self.size)
            basis[axis] = self.size[axis]
            self.size[axis] *= 2
            self.bases[who].append(tuple(basis))

    def fit(self, shape: tuple[int, ...], order: Sequence[int]) -> Layout:
        """Repeat the tile in registers until it fills `shape`; where it exceeds it, wrap."""
        for axis in order:
            self.add("register", shape[axis] // self.size[axis], axis)
        return Layout(
            shape, *(tuple(_wrap(basis, shape) for basis in self.bases[who]) for who in self.bases)
        )


def _wrap(basis: Basis, shape: tuple[int, ...]) -> Basis:
    return tuple(x if x < size else 0 for x, size in zip(basis, shape, strict=True))


def _blocked(fields: Mapping[str, Any], shape: tuple[int, ...]) -> Layout:
    tile = _Tile(len(shape))
    keys = {"register": "sizePerThread", "lane": "threadsPerWarp", "warp": "warpsPerCTA"}
    for who, key in keys.items():
        for axis in fields["order"]:
            tile.add(who, fields[key][axis], axis)
    return tile.fit(shape, fields["order"])


def _linear(fields: Mapping[str, Any], shape: tuple[int, ...]) -> Layout:
    registers, lanes, warps = (
        tuple(_wrap(tuple(basis), shape) for basis in fields[who])
        for who in ("register", "lane", "warp")
    )
    return Layout(shape, registers, lanes, warps)


def _slice(fields: Mapping[str, Any], shape: tuple[int, ...]) -> Layout | None:
    """A parent's layout of one more axis, seen along it."""
    axis = fields["dim"]
    parent = _build(fields["parent"], (*shape[:axis], 1, *shape[axis:]))
    if parent is None:
        return None

    def drop(bases: tuple[Basis, ...]) -> tuple[Basis, ...]:
        return tuple(basis[:axis] + basis[axis + 1 :] for basis in bases)

    return Layout(shape, drop(parent.registers), drop(parent.lanes), drop(parent.warps))


def _nvidia_mma(fields: Mapping[str, Any], shape: tuple[int, ...]) -> Layout | None:
    """The accumulator of mma.sync and wgmma: PTX ISA, figures of the m16n8 and wgmma D fragments.

    A row of eight columns lies in four lanes, two registers each; eight rows are eight groups
    of four lanes, and the eight rows below them are further registers.
    """
    if len(shape) != 2 or fields["versionMajor"] not in (2, 3):
        return None
    hopper = fields["versionMajor"] == 3
    rows, columns = fields["instrShape"][:2]
    tile = _Tile(2)
    tile.add("register", 2, axis=1)
    tile.add("lane", 4, axis=1)
    tile.add("lane", 8, axis=0)
    tile.add("register", rows // 8, axis=0)
    tile.add("register", columns // 8, axis=1)
    for axis in (0, 1) if hopper else (1, 0):  # a warpgroup's four warps stand above each other
        tile.add("warp", fields["warpsPerCTA"][axis], axis)
    return tile.fit(shape, order=(1, 0))


def _amd_mfma(fields: Mapping[str, Any], shape: tuple[int, ...]) -> Layout | None:
    """The accumulator of v_mfma: 64 lanes, one column each, and four rows at a time.

    Source: AMD Instinct MI300 (CDNA3) ISA, the output layouts of the matrix instructions.
    """
    rows, columns = fields["instrShape"][:2]
    if len(shape) != 2 or rows != columns or fields.get("elementBitWidth", 32) != 32:
        return None
    # Transposed, the roles of the axes change: one row per lane, four columns at a time.
    down, across = (1, 0) if fields["isTransposed"] else (0, 1)
    tile = _Tile(2)
    tile.add("register", 4, down)
    tile.add("lane", columns, across)
    tile.add("lane", 64 // columns, down)
    tile.add("register", rows // tile.size[down], down)
    for axis in (1, 0):
        tile.add("register", fields.get("tilesPerWarp", (1, 1))[axis], axis)
    for axis in (1, 0):
        tile.add("warp", fields["warpsPerCTA"][axis], axis)
    return tile.fit(shape, order=(1, 0))


_KINDS = {
    "blocked": _blocked,
    "linear": _linear,
    "slice": _slice,
    "nvidia_mma": _nvidia_mma,
    "amd_mfma": _amd_mfma,
}


def _build(fields: Mapping[str, Any], shape: tuple[int, ...]) -> Layout | None:
    build = _KINDS.get(fields["kind"])
    return build(fields, shape) if build else None


@functools.cache
def parse(text: str, shape: tuple[int, ...]) -> Layout | None:
    """Read a layout attribute, all its aliases replaced, for a block of `shape`.

    Returns:
        The layout; None for a kind that no access to global memory has been seen with, such as
        the operand of a dot.

    >>> parse("#ttg.blocked<{sizePerThread = [2], threadsPerWarp = [4], "
    ...       "warpsPerCTA = [1], order = [0]}>", (16,)).registers
    ((1,), (8,))
    """
    quoted = re.sub(r"(\w+) = ", r'"\1": ', text)
    quoted = re.sub(r"#\w+\.(\w+)<\{", r'{"kind": "\1", ', quoted).replace("}>", "}")
    return _build(json.loads(quoted), shape)
