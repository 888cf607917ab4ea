"""How many blocks live on one SM at once, and which resource runs out first.

    registers      a lane's are rounded up to a multiple of 8 and come out of its partition's 512:
                   warps = 4 x floor(512 / registers), blocks = floor(warps / warps of a block)
    shared memory  blocks = floor(an SM's bytes / a block's, with the reserve, rounded up)
    warps, blocks  what the SM keeps track of at most

A block lives only where all of it fits, so the smallest of these counts wins. NVIDIA's documents
say "registers of a warp, rounded up to 256, out of 16,384": divided by 32 lanes, that is the rule
above. AMD calls an SM a compute unit, a partition a SIMD, a warp a wavefront, a block a work-group
and shared memory LDS; a wavefront has 64 lanes, each with 512 registers of its SIMD, those that
accumulate included.

Not modelled: clusters; named barriers (NVIDIA, where they can bind a block with several of them);
scalar registers (AMD, where more than 100 of them cost the eighth wavefront).
"""

import dataclasses
from collections.abc import Mapping

from gpu_utils import quantities

__all__ = ["ARCHITECTURES", "Limits", "Occupancy", "limits", "occupancy"]

_PARTITIONS = 4  # of an SM, and SIMDs of a compute unit
_REGISTERS_PER_LANE = 512  # in one partition, shared by the warps that live there
_REGISTER_UNIT = 8
_KIB = 1024

_NVIDIA = (
    "NVIDIA, CUDA C++ Programming Guide, Technical Specifications per Compute Capability; "
    "CCCL, cuda/__device/arch_traits.h; rounding: CUDA Toolkit 13, cuda_occupancy.h"
)
_TENSOR_MEMORY = "; tensor memory: PTX ISA, tcgen05.alloc"
_CDNA3 = (
    "AMD, Instinct MI300 (CDNA3) Instruction Set Architecture; "
    "LLVM, AMDGPUBaseInfo.cpp, for gfx942: wavefronts, work-groups, rounding"
)
_CDNA4 = (
    "AMD, CDNA4 Instruction Set Architecture, LDS in units of 1280 bytes; "
    "LLVM, AMDGPUBaseInfo.cpp, for gfx950: wavefronts, work-groups, rounding"
)


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one SM (AMD: compute unit) has of each resource, and how it is handed out.

    Attributes:
        warp_size: lanes of a warp.
        warps: warps that can live on it.
        blocks: blocks that can live on it.
        lone_blocks: the same for blocks of one warp; AMD needs no barrier for those.
        threads_per_block: the largest block.
        registers_per_thread: the most that an instruction can name.
        shared_bytes: shared memory of the SM.
        shared_reserve_bytes: what the driver takes of it for each block.
        shared_unit_bytes: a block's part is rounded up to a multiple of this.
        tensor_memory_columns: columns of tensor memory, 0 where there is none.
        source: the documents.
    """

    warp_size: int
    warps: int
    blocks: int
    lone_blocks: int
    threads_per_block: int
    registers_per_thread: int
    shared_bytes: int
    shared_reserve_bytes: int
    shared_unit_bytes: int
    tensor_memory_columns: int
    source: str

    @property
    def shared_bytes_per_block(self) -> int:
        """The most shared memory that one block can ask for."""
        return self.shared_bytes - self.shared_reserve_bytes


def _nvidia(shared_kib: int, warps: int, blocks: int, columns: int = 0) -> Limits:
    source = _NVIDIA + _TENSOR_MEMORY if columns else _NVIDIA
    shared = shared_kib * _KIB
    return Limits(32, warps, blocks, blocks, 1024, 255, shared, _KIB, 128, columns, source)


def _amd(lds_kib: int, unit: int, source: str) -> Limits:
    # Eight wavefronts a SIMD; 16 work-groups that synchronise, since that many barriers exist.
    return Limits(64, 32, 16, 32, 1024, 512, lds_kib * _KIB, 0, unit, 0, source)


ARCHITECTURES: dict[str, Limits] = {
    "sm_80": _nvidia(164, warps=64, blocks=32),
    "sm_89": _nvidia(100, warps=48, blocks=24),
    "sm_90": _nvidia(228, warps=64, blocks=32),
    "sm_100": _nvidia(228, warps=64, blocks=32, columns=512),
    "sm_120": _nvidia(100, warps=48, blocks=24),
    "gfx942": _amd(64, 512, _CDNA3),
    "gfx950": _amd(160, 1280, _CDNA4),
}


@dataclasses.dataclass(frozen=True, repr=False)
class Occupancy:
    """How full an SM can get with one kernel's blocks.

    It prints marked, since the registers and the shared memory that it follows from are mostly a
    compiler's.

    Attributes:
        blocks_per_sm: blocks that live on an SM at once; 0 if not even one fits.
        warps_per_sm: their warps.
        share: those warps as a share of what the SM can keep track of.
        limiter: what runs out first; joined by " and " if several do at the same count.
        limits: resource -> blocks that it alone would allow. A resource that the block does
            not take is left out.
    """

    blocks_per_sm: int
    warps_per_sm: int
    share: float
    limiter: str
    limits: Mapping[str, int]

    def __str__(self) -> str:
        blocks, warps = self.blocks_per_sm, self.warps_per_sm
        share = quantities.text(self.share, "%")
        said = f"an SM holds {blocks} of these blocks: {warps} warps, {share}"
        return f"⟨{said}; limited by {self.limiter}⟩ {quantities.Label.MODELLED}"

    def __repr__(self) -> str:
        return str(self)


def limits(target: str) -> Limits:
    """Return what one SM of the architecture `target` has.

    Raises:
        ValueError: no such architecture; the message lists the known ones.

    >>> limits("sm_90").shared_bytes_per_block // 1024
    227
    """
    if target not in ARCHITECTURES:
        raise ValueError(
            f"target {target!r} has no known limits; expected one of {', '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[target]


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _check(name: str, value: int, least: int, most: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least or (most is not None and value > most):
        span = f"at least {least}" if most is None else f"between {least} and {most}"
        raise ValueError(f"{name} must be {span}, got {value}")


def _tensor_memory_columns(columns: int) -> int:
    """Columns that are allocated for `columns`: a power of two, 32 or more."""
    return max(32, 1 << (columns - 1).bit_length())


def occupancy(
    target: str, registers: int, threads: int, shared_bytes: int, tensor_memory_columns: int = 0
) -> Occupancy:
    """Return how many blocks of a kernel live on one SM at once, and what limits them.

    Args:
        target: an architecture, such as "sm_90" or "gfx942".
        registers: of one thread, as the compiler reports them (AMD: vector registers, those
            that accumulate included).
        threads: of one block.
        shared_bytes: shared memory of one block (AMD: LDS), without what the driver reserves.
            The SM is taken to give shared memory all that it can, at the cost of its L1 cache.
        tensor_memory_columns: that one block allocates. A block that finds too few of them free
            starts and then waits, so it counts as not living there.

    Raises:
        ValueError: an unknown architecture, or a number that no kernel there can have.

    Source: `Limits.source` of the architecture.

    >>> found = occupancy("sm_90", registers=108, threads=256, shared_bytes=96 * 1024)
    >>> found.blocks_per_sm, found.warps_per_sm, found.share, found.limiter
    (2, 16, 0.25, 'registers and shared memory')
    """
    sm = limits(target)
    _check("registers", registers, 1, sm.registers_per_thread)
    _check("threads", threads, 1)
    _check("shared_bytes", shared_bytes, 0)
    _check("tensor_memory_columns", tensor_memory_columns, 0)
    warps = -(-threads // sm.warp_size)
    resident = _PARTITIONS * (_REGISTERS_PER_LANE // _up(registers, _REGISTER_UNIT))
    allowed = {
        "registers": resident // warps,
        "warps": sm.warps // warps if threads <= sm.threads_per_block else 0,
        "blocks": sm.lone_blocks if warps == 1 else sm.blocks,
    }
    if shared := _up(shared_bytes + sm.shared_reserve_bytes, sm.shared_unit_bytes):
        allowed["shared memory"] = sm.shared_bytes // shared
    if tensor_memory_columns:
        columns = _tensor_memory_columns(tensor_memory_columns)
        allowed["tensor memory"] = sm.tensor_memory_columns // columns
    blocks = min(allowed.values())
    limiter = " and ".join(name for name, count in allowed.items() if count == blocks)
    return Occupancy(blocks, blocks * warps, blocks * warps / sm.warps, limiter, allowed)
