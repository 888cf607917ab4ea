"""Requests and sectors of one block access: what each warp instruction asks the memory for."""

import dataclasses
import functools

import numpy as np

from gpu_utils.traffic.layout import Layout

__all__ = ["SECTOR_BYTES", "Requests", "by_contiguity", "by_layout", "whole_block"]

SECTOR_BYTES = 32
_WIDEST_BYTES = 16  # of one lane in one instruction, on every target here
_NOBODY = np.uint64(2**64 - 1)


@dataclasses.dataclass(frozen=True)
class Requests:
    """Requests of one access, their sectors summed, and the distinct bytes asked for in each."""

    requests: int
    sectors: int
    useful_bytes: int
    width_bits: int


@functools.lru_cache(maxsize=256)
def _elements(layout: Layout, owners_only: bool) -> np.ndarray:
    return layout.elements(owners_only)


def by_layout(
    address: np.ndarray,
    mask: np.ndarray,
    itemsize: int,
    layout: Layout,
    *,
    width_bits: int | None,
    owners_only: bool = False,
) -> Requests:
    """Count an access whose lanes the compiler placed.

    A thread's registers are cut into instructions of `width_bits`, in order; one such cut of one
    warp is a request if any of its lanes is active.

    Args:
        address: byte addresses, uint64, in the shape of the block.
        mask: active elements, bool, of the same shape.
        itemsize: bytes of an element.
        layout: who holds which element.
        width_bits: of one lane in one instruction; None: as wide as the addresses allow.
        owners_only: whether threads that hold another thread's elements stay out.
    """
    elements = _elements(layout, owners_only)
    active = np.where(elements < 0, False, mask.ravel()[elements])
    where = address.ravel()[elements]
    if width_bits is None:
        vector = _widest(where, active, itemsize)
    else:
        vector = max(1, min(width_bits // (8 * itemsize), elements.shape[-1]))
    return _count(where, active, itemsize, vector)


def by_contiguity(
    address: np.ndarray, mask: np.ndarray, itemsize: int, warp_size: int = 32
) -> Requests:
    """Count an access of which only the addresses are known.

    Consecutive elements of the block, in row-major order, go to consecutive lanes, as many to
    each as lie one after the other in memory, are aligned together and at most 16 bytes.
    """
    where, active = address.ravel()[None, None], mask.ravel()[None, None]
    vector = _widest(where, active, itemsize)
    lanes = min(warp_size, where.size // vector)
    shape = (-1, lanes, vector)
    return _count(where.reshape(shape), active.reshape(shape), itemsize, vector)


def whole_block(address: np.ndarray, mask: np.ndarray, itemsize: int) -> Requests:
    """Count a copy by the tensor memory accelerator: one request for the whole box."""
    where, active = address.reshape(1, 1, -1), mask.reshape(1, 1, -1)
    return dataclasses.replace(_count(where, active, itemsize, where.size), width_bits=0)


def _count(where: np.ndarray, active: np.ndarray, itemsize: int, vector: int) -> Requests:
    """Count addresses of (warp, lane, register), `vector` registers an instruction."""
    warps, lanes, registers = where.shape
    cut = (warps, lanes, registers // vector, vector)
    asked = np.where(active, where, _NOBODY).reshape(cut).swapaxes(1, 2)
    asked = np.sort(asked.reshape(-1, lanes * vector), axis=1)
    anybody = asked != _NOBODY
    return Requests(
        requests=int(anybody[:, 0].sum()),
        sectors=_distinct(asked // np.uint64(SECTOR_BYTES), anybody),
        useful_bytes=_distinct(asked, anybody) * itemsize,
        width_bits=8 * itemsize * vector,
    )


def _distinct(values: np.ndarray, counted: np.ndarray) -> int:
    """How many different values each row holds, summed; the rows are sorted."""
    new = np.ones(values.shape, dtype=bool)
    np.not_equal(values[:, 1:], values[:, :-1], out=new[:, 1:])
    return int((new & counted).sum())


def _widest(where: np.ndarray, active: np.ndarray, itemsize: int) -> int:
    """Most registers that one instruction can move, for every cut of every thread."""
    vector = 1
    while 2 * vector * itemsize <= _WIDEST_BYTES and where.shape[-1] % (2 * vector) == 0:
        if not _together(where, active, itemsize, 2 * vector):
            break
        vector *= 2
    return vector


def _together(where: np.ndarray, active: np.ndarray, itemsize: int, vector: int) -> bool:
    """Whether each cut is all on or all off, aligned, and one element after the other."""
    cut_where = where.reshape(-1, vector)
    cut_active = active.reshape(-1, vector)
    on = cut_active.any(axis=1)
    if not cut_active[on].all():
        return False
    starts = cut_where[on, :1]
    steps = np.arange(vector, dtype=np.uint64) * np.uint64(itemsize)
    aligned = not (starts % np.uint64(vector * itemsize)).any()
    return aligned and bool((cut_where[on] == starts + steps).all())
