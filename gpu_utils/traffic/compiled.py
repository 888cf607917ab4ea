"""What the compiler made of each access to global memory: its layout and its width.

TTGIR says which lane holds which element, the machine code how many bits one instruction moves a
lane. Both carry the place in the source, so that each access of the interpreter finds its own.
"""

import collections
import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

from gpu_utils.traffic import layout
from gpu_utils.traffic.layout import Layout

__all__ = ["Artifact", "CompiledAccess", "CompiledKernel", "Site", "read"]

Kind = Literal["load", "store", "atomic"]
# Line and column, as this Triton counts them. No file: an artifact may come from the cache, and
# then names the file (of a notebook's cell, say) in which the same source once stood.
Site = tuple[int, int]


class Artifact(Protocol):
    """What is needed of a `codegen.Artifact`."""

    @property
    def target(self) -> str: ...
    @property
    def kernel(self) -> str: ...
    @property
    def asm(self) -> Mapping[str, str]: ...


@dataclasses.dataclass(frozen=True)
class CompiledAccess:
    """One operation of TTGIR that reads or writes global memory.

    Attributes:
        sites: where it stands, and from where that function was called, innermost first.
        shape: of the block; None for a copy by the tensor memory accelerator.
        layout: None where `shape` is, and where the kind of layout is not known.
        owners_only: whether of the threads that hold the same element only one accesses it.
        width_bits: what one instruction moves per lane, by the machine code; None if not found.
    """

    kind: Kind
    sites: tuple[Site, ...]
    shape: tuple[int, ...] | None
    layout: Layout | None
    owners_only: bool
    width_bits: int | None

    @property
    def whole(self) -> bool:
        """Whether one thread asks for the whole block, and no lanes are involved."""
        return self.shape is None


@dataclasses.dataclass(frozen=True)
class CompiledKernel:
    """All accesses of a kernel, for one target."""

    target: str
    kernel: str
    warp_size: int
    accesses: tuple[CompiledAccess, ...]

    def candidates(self, kind: Kind, site: Site, shape: tuple[int, ...]) -> list[CompiledAccess]:
        """Those that one access of the interpreter can be; more than one if code was copied."""
        # The interpreter keeps a scalar as an array of one element.
        shapes = (None, shape, ()) if shape == (1,) else (None, shape)
        found = [
            access
            for access in self.accesses
            if access.kind == kind and access.sites[0] == site and access.shape in shapes
        ]
        return list(dict.fromkeys(found))


_OPERATION = re.compile(r"^\s*(?:%[\w:]+ = )?(tt|ttg|ttng|amdg|amdgpu)\.(\w+) .* loc\((.*)\)$")
_KINDS: tuple[tuple[re.Pattern, Kind], ...] = (
    (re.compile(r"(buffer_)?atomic_(rmw|cas)|async_tma_reduce|descriptor_reduce"), "atomic"),
    (
        re.compile(
            r"(buffer_)?load|buffer_load_to_local|async_copy_global_to_local"
            r"|async_tma_(copy_global_to_local|gather)|descriptor_(load|gather)"
        ),
        "load",
    ),
    (
        re.compile(
            r"(buffer_)?store|async_tma_(copy_local_to_global|scatter)|descriptor_(store|scatter)"
        ),
        "store",
    ),
)
_TENSOR = re.compile(r"tensor<((?:\d+x)*)(?:!tt\.ptr<[^>]*>|\w+), (#.*)")


def _kind(name: str) -> Kind | None:
    return next((kind for pattern, kind in _KINDS if pattern.fullmatch(name)), None)


class _Locations:
    """The table of `#loc12 = loc(...)` at the end of a module."""

    def __init__(self, text: str) -> None:
        self._table = dict(re.findall(r"^(#loc\d*) = loc\((.*)\)$", text, re.MULTILINE))

    def sites(self, text: str) -> tuple[Site, ...]:
        """The places that a location names, innermost first; () if it names none."""
        if text.startswith("#"):
            return self.sites(self._table.get(text, ""))
        if called := re.fullmatch(r"callsite\((.*) at (.*)\)", text):
            return self.sites(called[1]) + self.sites(called[2])
        if place := re.match(r'".*":(\d+):(\d+)', text):
            return ((int(place[1]), int(place[2])),)
        # A name, or several that became one: the first place in it.
        inner = re.search(r"#loc\d*", text)
        return self.sites(inner[0]) if inner else ()


def _closed(text: str) -> str:
    """The start of `text` up to the ">" that closes its surroundings."""
    depth = 0
    for end, letter in enumerate(text):
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if depth < 0:
            return text[:end]
    return text


def _expand(text: str, aliases: Mapping[str, str]) -> str:
    while (known := re.sub(r"#\w+\b(?!\.)", lambda m: aliases.get(m[0], m[0]), text)) != text:
        text = known
    return text


def _scalar(warps: int, lanes: int) -> Layout:
    """Every thread holds the one element."""
    return Layout((), (), ((),) * (lanes.bit_length() - 1), ((),) * (warps.bit_length() - 1))


def _block(
    name: str, line: str, aliases: Mapping[str, str], scalar: Layout
) -> tuple[tuple[int, ...] | None, Layout | None]:
    """Shape and layout of the block that an operation accesses."""
    if "tma" in name or name.startswith("descriptor"):
        return None, None
    block = _TENSOR.search(line)
    if block is None:
        return (), scalar
    shape = tuple(int(size) for size in block[1].split("x") if size)
    return shape, layout.parse(_expand(_closed(block[2]), aliases), shape)


def read(artifact: Artifact) -> CompiledKernel:
    """Read a kernel's accesses from the texts that the compiler left."""
    text = artifact.asm["ttgir"]
    aliases = dict(re.findall(r"^(#\w+) = (#\w+\.\w+<.*>)$", text, re.MULTILINE))
    module = dict(re.findall(r'"ttg\.(num-ctas|num-warps|threads-per-warp)" = (\d+)', text))
    lanes = int(module["threads-per-warp"])
    scalar = _scalar(int(module["num-warps"]), lanes)
    locations, widths = _Locations(text), _widths(artifact.asm)
    accesses = []
    for line in text.splitlines():
        operation = _OPERATION.match(line)
        kind = _kind(operation[2]) if operation else None
        if operation is None or kind is None:
            continue
        if sites := locations.sites(operation[3]):
            shape, placed = _block(operation[2], line, aliases, scalar)
            if module["num-ctas"] != "1":  # a layout over several blocks of threads
                placed = None
            # Triton lets every thread load, even what another thread loads too.
            owners_only = kind != "load" or operation[2] == "async_copy_global_to_local"
            width = widths.get((kind, sites))
            accesses.append(CompiledAccess(kind, sites, shape, placed, owners_only, width))
    return CompiledKernel(artifact.target, artifact.kernel, lanes, tuple(accesses))


# ".loc	1 6 19    // probe.py:6:19 @[ probe.py:13:38 ]", on AMD after a semicolon
_PLACE = re.compile(r"^\s*\.loc\s.*(?://|;)\s+(\S.*)$")
# ".loc	1 6 19, function_name $L__info_string0, inlined_at 1 13 38 // probe.py:6:19": PTX of
# Triton 3.8 and later names only the next caller, whose own line came before.
_INLINED = re.compile(r"\binlined_at \d+ (\d+) (\d+)")
_PTX = re.compile(r"\b(ld|st|atom|red)\.(?:[\w:]+\.)*?global([\w.:]*)")
_PTX_COPY = re.compile(r"\bcp\.async\.c[ag]\.shared\.global.*\], (0x[0-9a-f]+|\d+)")
_AMDGCN = re.compile(r"^\s+(?:global|buffer|flat)_(load|store|atomic)_(\w+)")


def _widths(asm: Mapping[str, str]) -> dict[tuple[Kind, tuple[Site, ...]], int]:
    """Bits per lane and instruction of each access, the most frequent where they differ."""
    found: dict[tuple[Kind, tuple[Site, ...]], collections.Counter[int]]
    found = collections.defaultdict(collections.Counter)
    for kind, sites, bits in _instructions(asm.get("ptx") or asm.get("amdgcn") or ""):
        found[kind, sites][bits] += 1
    return {key: counts.most_common(1)[0][0] for key, counts in found.items()}


def _instructions(text: str) -> Iterator[tuple[Kind, tuple[Site, ...], int]]:
    chains: dict[tuple[Site, ...], tuple[Site, ...]] = {}  # innermost place -> with its callers
    sites: tuple[Site, ...] = ()
    in_asm = False
    for line in text.splitlines():
        if "inline asm" in line:
            in_asm = "// begin" in line
        elif place := _PLACE.match(line):
            if in_asm:  # from Triton 3.8 on, its second line is said to be the kernel's next line
                continue
            sites = _chain(place[1])
            if inlined := _INLINED.search(line):
                caller = ((int(inlined[1]), int(inlined[2])),)
                sites += chains.get(caller, caller)
            chains[sites[:1]] = sites
        elif (access := _ptx(line) or _amdgcn(line)) and sites:
            kind, bits = access
            yield kind, sites, bits


def _chain(comment: str) -> tuple[Site, ...]:
    """ "a.py:6:19 @[ b.py:13:38 ]" -> ((6, 19), (13, 38))"""
    places = re.findall(r":(\d+):(\d+)(?=\s|$)", comment)
    return tuple((int(line), int(column)) for line, column in places)


def _ptx(line: str) -> tuple[Kind, int] | None:
    if copy := _PTX_COPY.search(line):
        return "load", 8 * int(copy[1], 0)
    access = _PTX.search(line)
    # The last type is the value's: "ld.global.L1::evict_last.v4.b32", "atom...add.noftz.bf16x2".
    types = re.findall(r"\.(?:b|u|s|f|bf)(\d+)(x2)?\b", access[2]) if access else []
    if access is None or not types:
        return None
    bits, pair = types[-1]
    vector = re.search(r"\.v(\d)\b", access[2])
    kind: Kind = {"ld": "load", "st": "store"}.get(access[1], "atomic")  # type: ignore[assignment]
    return kind, int(bits) * (2 if pair else 1) * (int(vector[1]) if vector else 1)


def _amdgcn(line: str) -> tuple[Kind, int] | None:
    access = _AMDGCN.match(line)
    if access is None:
        return None
    kind: Kind = access[1]  # type: ignore[assignment]
    size = access[2].removeprefix("lds_")
    if kind == "atomic":  # one element, or two packed into 32 bits
        return (kind, 32) if size.startswith("pk_") else None
    if words := re.match(r"dword(?:x(\d))?$", size):
        return kind, 32 * int(words[1] or 1)
    if bits := re.search(r"[bui](\d+)$", size):
        return kind, int(bits[1])
    return kind, 16 if "short" in size else 8
