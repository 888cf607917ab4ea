"""What a tile of a matrix product comes to on a part: intensity, shared memory, programs, bound.

A program multiplies [block_m, block_k] by [block_k, block_n] in each step, 16-bit numbers summed in
float32, and keeps the operands of some steps ahead in shared memory: pipelining.

    FLOP per byte asked for = block_m * block_n / (block_m + block_n)
    a stage                 = (block_m + block_n) * block_k * 2 bytes
    shared memory           = stages of them where the tensor cores read shared memory, one fewer
                              where they read registers
    accumulators            = block_m * block_n / threads registers, or tensor memory
"""

import dataclasses
import math
from collections.abc import Sequence

from gpu_utils import occupancy as model
from gpu_utils import roofline, specs
from gpu_utils.occupancy import Occupancy
from gpu_utils.quantities import Label, Quantity, text
from gpu_utils.roofline import Bound, OpCost
from gpu_utils.specs import GPUSpec
from gpu_utils.viz.roofline_lines import Line

__all__ = ["Tile", "Tiled", "lines", "tiled"]

_BYTES = 2  # of a 16-bit number
# Targets whose tensor cores read their operands out of shared memory, if a warp group is there.
_READ_SHARED = ("sm_90", "sm_100")


@dataclasses.dataclass(frozen=True)
class Tile:
    """How a [size, size] product is cut up."""

    block_m: int
    block_n: int
    block_k: int
    warps: int
    stages: int
    size: int

    def __post_init__(self) -> None:
        for field in ("block_m", "block_n", "block_k"):
            value = getattr(self, field)
            if value < 16 or value & (value - 1):
                raise ValueError(f"{field} must be a power of two of at least 16, got {value}")
        if self.warps not in (1, 2, 4, 8, 16):
            raise ValueError(f"warps must be 1, 2, 4, 8 or 16, got {self.warps}")
        if self.stages < 2:
            raise ValueError(f"stages must be at least 2, got {self.stages}: 1 is no pipeline")
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")

    @property
    def intensity(self) -> float:
        """FLOP for each byte that is asked for.

        >>> Tile(128, 128, 64, 8, 3, 8192).intensity  # 2 * 128 * 128 / (256 * 2)
        64.0
        """
        return self.block_m * self.block_n / (self.block_m + self.block_n)

    @property
    def stage_bytes(self) -> int:
        """Operands of one step."""
        return (self.block_m + self.block_n) * self.block_k * _BYTES

    @property
    def requested_bytes(self) -> int:
        """What all programs ask for: a for each column of tiles, b for each row of them."""
        across, down = math.ceil(self.size / self.block_n), math.ceil(self.size / self.block_m)
        return self.size**2 * (across + down) * _BYTES

    def reads_shared(self, target: str) -> bool:
        """Whether wgmma or tcgen05 multiply it; what they do not take, mma.sync does."""
        return target in _READ_SHARED and self.block_m >= 64 and self.warps >= 4

    def shared_bytes(self, target: str) -> int:
        """Shared memory of its loop; with few stages the store may borrow more.

        >>> tile = Tile(128, 256, 64, 8, 4, 8192)
        >>> tile.shared_bytes("sm_90") // 1024, tile.shared_bytes("sm_89") // 1024
        (192, 144)
        """
        return self.stage_bytes * (self.stages - (not self.reads_shared(target)))


@dataclasses.dataclass(frozen=True)
class Tiled:
    """What a tile comes to on a part.

    Attributes:
        spec: The part.
        shared_bytes: Of one program.
        limit_bytes: The most that one program can have.
        accumulators: Registers of each thread that hold the sums; 0 where tensor memory does.
        living: How many programs live on an SM, by shared memory and sums alone: at most.
        bound: The least time of the whole product; of the L2 only where its bandwidth is known.
    """

    spec: GPUSpec
    shared_bytes: int
    limit_bytes: int
    accumulators: int
    living: Occupancy
    bound: Bound

    @property
    def refused(self) -> str:
        """Why it is not for this part; empty if it can run there."""
        if self.shared_bytes > self.limit_bytes:
            return f"needs {_kib(self.shared_bytes)}, has {_kib(self.limit_bytes)}: no launch"
        if self.living.blocks_per_sm:
            return ""
        if self.living.limiter == "registers" and self.accumulators:
            return f"its sums take {self.accumulators} registers of each thread: they spill"
        return f"no program fits: {self.living.limiter}"


def tiled(tile: Tile, parts: Sequence[str | GPUSpec]) -> tuple[Tiled, ...]:
    """The answers for some parts.

    Raises:
        UnknownPartError: No part has such a name.
        ValueError: A part whose occupancy is not modelled.
    """
    return tuple(_tiled(tile, specs.get(p) if isinstance(p, str) else p) for p in parts)


def _tiled(tile: Tile, spec: GPUSpec) -> Tiled:
    if spec.target not in model.ARCHITECTURES:
        known = ", ".join(model.ARCHITECTURES)
        raise ValueError(f"{spec.name} is {spec.target or 'no GPU'}; modelled are {known}")
    sm = model.limits(spec.target)
    threads = tile.warps * sm.warp_size
    columns = 0
    if sm.tensor_memory_columns and tile.reads_shared(spec.target):
        columns = tile.block_n * max(1, tile.block_m // 128)
    sums = 0 if columns else -(-tile.block_m * tile.block_n // threads)
    shared = tile.shared_bytes(spec.target)
    living = _living(spec.target, sums, threads, shared, columns)
    cost = roofline.matmul_cost(tile.size, tile.size, tile.size)
    return Tiled(spec, shared, sm.shared_bytes_per_block, sums, living, _bound(tile, spec, cost))


def _living(target: str, sums: int, threads: int, shared: int, columns: int) -> Occupancy:
    most = model.limits(target).registers_per_thread
    if sums <= most:
        return model.occupancy(target, max(sums, 1), threads, shared, columns)
    return Occupancy(0, 0, 0.0, "registers", {"registers": 0})


def _bound(tile: Tile, spec: GPUSpec, cost: OpCost) -> Bound:
    asked = tile.requested_bytes if spec.l2_bandwidth_bytes_per_s else None
    return roofline.bound(cost, spec, "bf16", l2_bytes=asked)


def lines(tile: Tile, found: Sequence[Tiled]) -> tuple[Line, ...]:
    """The answers in words, a line for the tile and one for each part."""
    head = (
        f"{tile.block_m} x {tile.block_n} x {tile.block_k}, {tile.warps} warps, {tile.stages} "
        f"stages, {tile.size} x {tile.size} x {tile.size} in 16 bits: ",
        Quantity(tile.intensity, "FLOP/byte", Label.MODELLED),
        f" asked for, {_kib(tile.stage_bytes)} a stage",
    )
    return (head, *(_line(each) for each in found))


def _line(each: Tiled) -> Line:
    name = each.spec.name
    if each.refused:
        return (f"- {name}: {each.refused}",)
    living, least = each.living, Quantity(each.bound.time_s, "s", Label.MODELLED)
    l2_s = each.bound.l2_time_s
    l2 = "its L2's bandwidth is unknown" if l2_s is None else f"L2 {text(l2_s, 's')}"
    programs = "1 program" if living.blocks_per_sm == 1 else f"{living.blocks_per_sm} programs"
    return (
        f"- {name}: {_kib(each.shared_bytes)} of {_kib(each.limit_bytes)}, at most {programs} an "
        f"SM ({living.limiter}), {text(living.share, '%')} of its warps, at least ",
        least,
        f", {each.bound.limiter}-bound (compute {text(each.bound.compute_time_s, 's')}, {l2})",
    )


def _kib(value: int) -> str:
    return text(value, "iB")
