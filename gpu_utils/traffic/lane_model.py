"""Sectors per request: how well the lanes of a warp share what the memory hands out.

A request is one warp instruction: one load or store instruction, executed by one warp. Memory
answers in sectors of 32 bytes, so a request is well shaped when the bytes it asks for fill the
sectors they lie in. Which lane asks for which element is the compiler's choice; it is read from
the code that was compiled for the launch.
"""

import dataclasses
import functools
import linecache
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gpu_utils._triton.frames import compiled_sites, short_name
from gpu_utils.traffic import compiled, lens, requests
from gpu_utils.traffic.compiled import Artifact, CompiledAccess, CompiledKernel
from gpu_utils.traffic.requests import SECTOR_BYTES, Requests
from gpu_utils.traffic.result import Traffic
from gpu_utils.traffic.storage import View
from gpu_utils.traffic.stream import Access

__all__ = ["LaneModel", "LineSectors", "SectorCount", "Sectors", "sectors"]


@dataclasses.dataclass(frozen=True)
class SectorCount:
    """Requests and sectors, MODELLED.

    Attributes:
        requests: warp instructions with an active lane.
        sectors: 32-byte sectors that these touch, each request's counted alone.
        useful_bytes: distinct bytes that active lanes ask for, summed over the requests.
        width_bits: what one instruction moves per lane, each width that occurs; () for copies
            by the tensor memory accelerator, which have no lanes.
        layout_source: "TTGIR" where the compiler's layout was used, "contiguity" where none was
            found, "TTGIR, contiguity" for a sum of both.
    """

    requests: int = 0
    sectors: int = 0
    useful_bytes: int = 0
    width_bits: tuple[int, ...] = ()
    layout_source: str = ""

    @property
    def sectors_per_request(self) -> float | None:
        """Sectors over requests: at best 4 for 32-bit lanes, 16 for 128-bit, 2 for 16-bit."""
        return self.sectors / self.requests if self.requests else None

    @property
    def efficiency(self) -> float | None:
        """Useful bytes over the bytes of the sectors, 1 at best; None without a request."""
        return self.useful_bytes / (SECTOR_BYTES * self.sectors) if self.sectors else None

    def __add__(self, other: "SectorCount") -> "SectorCount":
        sources = {*self.layout_source.split(", "), *other.layout_source.split(", ")} - {""}
        return SectorCount(
            self.requests + other.requests,
            self.sectors + other.sectors,
            self.useful_bytes + other.useful_bytes,
            tuple(sorted({*self.width_bits, *other.width_bits})),
            ", ".join(sorted(sources)),
        )


@dataclasses.dataclass(frozen=True)
class LineSectors:
    """The loads, stores or atomics of one tensor at one place of the source."""

    tensor: str
    kind: str
    file: str
    line: int
    column: int
    code: str
    count: SectorCount

    @property
    def place(self) -> str:
        """ "file.py:12" """
        return f"{self.file}:{self.line}"


def _sum(lines: Iterable[LineSectors]) -> SectorCount:
    return functools.reduce(operator.add, (line.count for line in lines), SectorCount())


@dataclasses.dataclass(frozen=True, repr=False)
class Sectors:
    """What `sectors` found.

    Attributes:
        target: the target that the layouts are for; "" where none was given.
        lines: one entry per place, tensor and kind, in order of first execution.
        traffic: the counts of the same run.
    """

    target: str
    lines: tuple[LineSectors, ...]
    traffic: Traffic = dataclasses.field(compare=False)

    @property
    def total(self) -> SectorCount:
        """All accesses together."""
        return _sum(self.lines)

    def of(self, tensor: str, kind: str = "") -> SectorCount:
        """One tensor's accesses; `kind` keeps only its "load"s, "store"s or "atomic"s.

        Raises:
            KeyError: no kernel accessed a tensor of that name.
        """
        if tensor not in self.by_tensor:
            raise KeyError(f"no kernel accessed {tensor!r}; accessed: {', '.join(self.by_tensor)}")
        return _sum(x for x in self.lines if x.tensor == tensor and kind in ("", x.kind))

    @property
    def by_tensor(self) -> dict[str, SectorCount]:
        """Tensor, named as in `Traffic.by_tensor` -> its accesses."""
        names = dict.fromkeys(x.tensor for x in self.lines)
        return {name: _sum(x for x in self.lines if x.tensor == name) for name in names}

    @property
    def by_line(self) -> dict[str, SectorCount]:
        """ "file.py:12" -> the accesses of that line."""
        places = dict.fromkeys(x.place for x in self.lines)
        return {place: _sum(x for x in self.lines if x.place == place) for place in places}

    def __str__(self) -> str:
        """One row a place. What follows from the compiler's layout is marked, for nbval."""
        where = f" on {self.target}" if self.target else ""
        rows = [
            f"{'tensor':<12}{'kind':<8}{'place':<20}{'bits':>7}{'requests':>12}{'sectors':>12}"
            f"{'a request':>11}{'useful':>9}   MODELLED{where}"
        ]
        for line in self.lines:
            n = line.count
            bits = "/".join(map(str, n.width_bits)) or "box"
            found = (
                f"{bits:>6}{n.requests:>12,}{n.sectors:>12,}{n.sectors_per_request or 0:>11.3g}"
                f"{n.efficiency or 0:>9.1%}   {n.layout_source}"
            )
            marked = f"⟨{found}⟩" if self.target else f" {found}"
            rows.append(f"{line.tensor:<12}{line.kind:<8}{line.place:<20}{marked}")
        return "\n".join(rows)

    def __repr__(self) -> str:
        return str(self)


class LaneModel:
    """The lane model as an observer of a walk: `lens.run(fn, args, kwargs, [model, ...])`.

    It sums the requests of each place, tensor and kind. The argument is that of `sectors`.
    """

    def __init__(self, artifacts: Sequence[Artifact] | None = None) -> None:
        self._given = artifacts is not None
        self._kernels = _checked(artifacts) if artifacts is not None else []
        self._totals: dict[tuple[str, str, int, int, int], tuple[View, SectorCount]] = {}

    def __call__(self, access: Access) -> None:
        address = access.address - access.region.base + access.region.offset
        found, source = self._requests(access, address)
        count = SectorCount(
            found.requests,
            found.sectors,
            found.useful_bytes,
            (found.width_bits,) if found.width_bits else (),
            source,
        )
        view = access.region.view
        key = (access.kind, access.file, access.line, access.column, id(view))
        before = self._totals.get(key, (view, SectorCount()))[1]
        self._totals[key] = (view, before + count)

    def result(self, traffic: Traffic) -> Sectors:
        """What was found in the walk that ended with `traffic`.

        Raises:
            ValueError: the artifacts are not those of the launches that were made.
        """
        if self._given:
            _check_launches(self._kernels, traffic)
        lines = tuple(
            LineSectors(
                tensor=view.name,
                kind=kind,
                file=short_name(file),
                line=line,
                column=column,
                code=linecache.getline(file, line).strip(),
                count=count,
            )
            for (kind, file, line, column, _), (view, count) in self._totals.items()
        )
        return Sectors(self._kernels[0].target if self._kernels else "", lines, traffic)

    def _requests(self, access: Access, address: Any) -> tuple[Requests, str]:
        kernel = next(iter(self._kernels[access.launch :]), None)  # too few: reported at the end
        made = _match(kernel, access) if kernel else None
        if made and made.whole:
            return requests.whole_block(address, access.mask, access.itemsize), "TTGIR"
        if made and made.layout:
            width = made.width_bits
            if width is None and access.kind == "atomic":
                width = 8 * access.itemsize  # the code names no width where it is an element's
            found = requests.by_layout(
                address, access.mask, access.itemsize, made.layout,
                width_bits=width, owners_only=made.owners_only,
            )  # fmt: skip
            return found, "TTGIR"
        warp_size = kernel.warp_size if kernel else 32
        found = requests.by_contiguity(address, access.mask, access.itemsize, warp_size)
        return found, "contiguity"


def _match(kernel: CompiledKernel, access: Access) -> CompiledAccess | None:
    """The operation of the compiled kernel that an access of the interpreter is, if it is one."""
    sites = compiled_sites()  # of the interpreter, which is in this access now
    candidates = kernel.candidates(access.kind, sites[0], access.address.shape)
    if len(candidates) > 1:
        # A helper that is called from several places was compiled once for each of them.
        candidates = [made for made in candidates if made.sites == sites]
    return candidates[0] if len(candidates) == 1 else None


def _checked(artifacts: Any) -> list[CompiledKernel]:
    if isinstance(artifacts, dict):
        raise TypeError(
            f"artifacts is a dict of targets ({', '.join(artifacts)}): a layout belongs to one "
            'target; pass artifacts["sm_90"], say'
        )
    kernels = [compiled.read(artifact) for artifact in artifacts]
    if len({kernel.target for kernel in kernels}) > 1:
        raise ValueError("artifacts are of several targets: pass those of one")
    return kernels


def _check_launches(kernels: list[CompiledKernel], traffic: Traffic) -> None:
    compiled_for = [kernel.kernel for kernel in kernels]
    launched = [launch.kernel for launch in traffic.launches]
    if compiled_for != launched:
        raise ValueError(
            f"artifacts are of the launches {compiled_for}, but fn launched {launched}: "
            'pass codegen.compile(fn, ..., target="sm_90") with the same fn and arguments'
        )


def sectors(
    fn: Callable,
    *args: Any,
    artifacts: Sequence[Artifact] | None = None,
    addresses_only: bool = False,
    **kwargs: Any,
) -> Sectors:
    """Run `fn(*args, **kwargs)` on the interpreter and count requests and sectors, MODELLED.

    Where the machine code names no width for an access, it is as wide as its addresses allow.

    Args:
        fn, *args, addresses_only, **kwargs: as for `count`.
        artifacts: `codegen.compile(fn, *args, target="sm_90", **kwargs)` with the same arguments:
            their alignment decides how wide the accesses are. Without it, and for accesses whose
            layout is not found, lanes are consecutive elements; `layout_source` says which.

    Raises:
        ValueError: the artifacts are not those of the launches that `fn` made.
        TypeError: `fn` has a parameter called `artifacts` or `addresses_only`.
    """
    lens.keep(fn, "sectors", "artifacts", "addresses_only")
    model = LaneModel(artifacts)
    return model.result(lens.run(fn, args, kwargs, [model], addresses_only))
