"""What the traffic lens found: frozen, printable, comparable to hand-worked numbers."""

import dataclasses
from typing import Any


class OutOfBounds(IndexError):
    """A kernel touched memory that is no element of the tensor its pointer came from."""


@dataclasses.dataclass(frozen=True)
class TensorTraffic:
    """One tensor's share. Bytes are those that unmasked lanes asked for.

    An atomic operation reads and writes: its bytes are among both, and `atomics` counts its lanes.
    `unwritten_bytes` is what of the tensor's own elements nobody ever wrote; it is counted only
    for tensors that were allocated uninitialised inside the launcher, and is 0 for all others.
    `foreign_bytes` is what changed after the last kernel or torch operation that wrote it: NumPy,
    ctypes or another thread did that.
    """

    nbytes: int
    itemsize: int
    load_bytes: int = 0
    store_bytes: int = 0
    unique_load_bytes: int = 0
    unique_store_bytes: int = 0
    unwritten_bytes: int = 0
    foreign_bytes: int = 0
    atomics: int = 0


@dataclasses.dataclass(frozen=True)
class LineTraffic:
    """One source line's share of the loads and stores."""

    file: str
    line: int
    code: str
    load_bytes: int
    store_bytes: int


@dataclasses.dataclass(frozen=True)
class LaunchTraffic:
    """One kernel launch."""

    kernel: str
    programs: int
    load_bytes: int
    store_bytes: int
    flops: int


@dataclasses.dataclass(frozen=True)
class EagerOp:
    """One torch operation that ran outside every kernel.

    `kind` is "fill" (zeros, ones, ...), "copy" (clone, contiguous, a change of dtype, ...) or
    "compute". Allocations and views move nothing and are not listed.
    """

    name: str
    kind: str
    read_bytes: int
    written_bytes: int
    where: str


@dataclasses.dataclass(frozen=True, repr=False)
class Traffic:
    """All that a callable moved, COUNTED on the interpreter.

    Attributes:
        load_bytes, store_bytes: what the kernels' unmasked lanes asked for.
        unique_load_bytes, unique_store_bytes: what of that is distinct.
        flops: floating-point additions, subtractions, multiplications and divisions executed,
            masked lanes included; an FMA is 2. A sum or a scan of n elements is n - 1.
        dots, dot_flops: `tl.dot`s executed, and their share of `flops`.
        eager_ops: torch operations around the kernels, in order.
        peak_bytes: most bytes that the callable's own allocations held at once.
        by_tensor: keyed by the callable's parameter names, `out` (or `out[0]`, ...) for what it
            returns, and the kernel's parameter names for temporaries.
        by_line: keyed by "file.py:12".
        special_ops: exp, log, sin, sqrt, rsqrt, tanh, erf and their kind executed, masked lanes
            included; another unit computes them, so they are not among `flops`.
        atomics: atomic operations on one element each, those of inactive lanes left out.
        written_inputs: parameters of the callable into whose memory a kernel or a torch
            operation wrote.
        result: what the callable returned.
    """

    load_bytes: int
    store_bytes: int
    unique_load_bytes: int
    unique_store_bytes: int
    flops: int
    dots: int
    dot_flops: int
    peak_bytes: int
    eager_ops: tuple[EagerOp, ...]
    launches: tuple[LaunchTraffic, ...]
    by_tensor: dict[str, TensorTraffic]
    by_line: dict[str, LineTraffic]
    special_ops: int = 0
    atomics: int = 0
    written_inputs: tuple[str, ...] = ()
    result: Any = dataclasses.field(compare=False, default=None)

    @property
    def kernel_bytes(self) -> int:
        """Bytes that kernels asked for, loads and stores together."""
        return self.load_bytes + self.store_bytes

    @property
    def unique_bytes(self) -> int:
        """Distinct bytes loaded plus distinct bytes stored."""
        return self.unique_load_bytes + self.unique_store_bytes

    @property
    def eager_bytes(self) -> int:
        """Bytes that eager torch operations read and wrote."""
        return sum(op.read_bytes + op.written_bytes for op in self.eager_ops)

    @property
    def total_bytes(self) -> int:
        """Kernels and eager operations together."""
        return self.kernel_bytes + self.eager_bytes

    def __str__(self) -> str:
        rows = [f"{'tensor':<12}{'loaded':>12}{'stored':>12}{'unique':>12}   bytes, COUNTED"]
        for name, t in self.by_tensor.items():
            unique = t.unique_load_bytes + t.unique_store_bytes
            rows.append(f"{name:<12}{t.load_bytes:>12,}{t.store_bytes:>12,}{unique:>12,}")
        rows.append(
            f"{'all':<12}{self.load_bytes:>12,}{self.store_bytes:>12,}{self.unique_bytes:>12,}"
        )
        launched = ", ".join(f"{x.kernel} x {x.programs}" for x in self.launches) or "none"
        special = f", {self.special_ops:,} special functions" if self.special_ops else ""
        atomics = f", {self.atomics:,} atomics" if self.atomics else ""
        rows.append(f"kernels and programs: {launched}; {self.flops:,} FLOP{special}{atomics}")
        rows += [
            f"eager {op.name}: {op.read_bytes:,} read, {op.written_bytes:,} written"
            for op in self.eager_ops
        ]
        return "\n".join(rows)

    def __repr__(self) -> str:
        return str(self)
