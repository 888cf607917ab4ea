"""The access stream: each block of addresses that a kernel asks for, as it asks.

An observer is any callable that takes one `Access`. It is called once for each load, store and
atomic that has an active lane, after the access was found to be inside its tensor and before
it changes memory. The order is that of execution: launch by launch, programs in the order in
which a GPU numbers them (x fastest), operations in program order. Arrays in an `Access` belong
to the interpreter and are read-only for an observer: it copies what it keeps.

Addresses are virtual, and each launch hands out its own. An allocation has one `storage` number
for the whole run, so `(storage, address - region.base + region.offset)` names a byte across
launches, views of it included. The low 12 bits of a virtual address are those of the real one
(of a 4096-aligned one for a meta tensor): which bytes share a sector or a line can be read off
the address itself.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

from gpu_utils.traffic.region import Region


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """One load, store or atomic of one program.

    Attributes:
        kind: "load", "store" or "atomic" (a read-modify-write).
        launch: index of the launch in the run, as in `Traffic.launches`.
        program: its (x, y, z) in the grid.
        region: the tensor argument that the addresses point into. Its `name` is final only
            when the run has ended, since a returned tensor is then called `out`.
        address: virtual byte addresses, uint64, in the shape of the block; of an inactive
            lane, anything.
        mask: active lanes, bool, the same shape.
        itemsize: bytes of one lane.
        file, line, column: where in the kernel's source; the column counts from 0.
    """

    kind: Literal["load", "store", "atomic"]
    launch: int
    program: tuple[int, int, int]
    region: Region
    address: np.ndarray
    mask: np.ndarray
    itemsize: int
    file: str
    line: int
    column: int


Observer: TypeAlias = Callable[[Access], object]
