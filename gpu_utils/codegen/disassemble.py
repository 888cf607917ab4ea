"""Read compiled code: the instructions, how wide the memory accesses are, and the registers."""

import collections
import dataclasses
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from gpu_utils._triton import compiler

__all__ = [
    "Resources",
    "Widths",
    "amdgcn_instructions",
    "amdgcn_resources",
    "ptxas_resources",
    "sass",
    "sass_instructions",
    "widths",
]

# "/*0110*/   @!P0 LDG.E.128 R4, desc[UR4][R8.64] ;"
_SASS = re.compile(
    r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*(?:\.\w+)*)", re.MULTILINE
)
# "	buffer_load_dwordx4 v[2:5], v0, s[4:7], 0 offen"
_AMDGCN = re.compile(
    r"^\s+((?:v|s|ds|global|buffer|flat|scratch|tensor)_[a-z0-9_]+)([^;\n]*)", re.MULTILINE
)
_AMD_WIDTH = {
    "byte": 8, "ubyte": 8, "sbyte": 8, "u8": 8, "i8": 8, "b8": 8,
    "short": 16, "ushort": 16, "sshort": 16, "u16": 16, "i16": 16, "b16": 16,
    "dword": 32, "dwordx2": 64, "dwordx3": 96, "dwordx4": 128,
    "b32": 32, "b64": 64, "b96": 96, "b128": 128,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Resources:
    """What one thread occupies.

    `spill_bytes` were stored for want of registers. `local_bytes` is all of its local memory:
    those, and arrays that no register can hold, as in the slow path of a sine.
    """

    registers: int
    spill_bytes: int
    local_bytes: int


@dataclasses.dataclass(frozen=True)
class Widths:
    """Accesses to global memory: bits that one lane moves -> number of instructions.

    `async_copies` go from global to shared memory without passing through registers.
    """

    loads: dict[int, int]
    stores: dict[int, int]
    async_copies: dict[int, int]


def sass(cubin: bytes) -> str:
    """Return the machine code of a cubin as text.

    nvdisasm without its data-flow pass takes about 0.2 s, cuobjdump -sass 0.25 to 0.35 s; nearly
    all of it is the tool's start.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        command = [compiler.tool("nvdisasm"), "-c", "-ndf", str(path)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"nvdisasm failed: {ran.stderr.strip()}")
    return ran.stdout


def ptxas_resources(log: str) -> Resources:
    """Return what a kernel occupies, from what `ptxas -v` said; functions that it calls count.

    Spilled bytes are those of the spilling stores in the code; one in a loop counts once.
    """
    spills = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores", log)
    used = re.search(r"Used (\d+) registers(?:.*?(\d+) bytes cumulative stack size)?", log)
    if not used or not spills:
        raise RuntimeError(f"ptxas -v names no registers: {log.strip() or 'it said nothing'}")
    return Resources(
        registers=int(used[1]),
        spill_bytes=sum(int(stored) for _, stored in spills),
        local_bytes=int(used[2] or max(int(frame) for frame, _ in spills)),
    )


def amdgcn_resources(text: str, kernel: str) -> Resources:
    """Return what `kernel` occupies, from the metadata at the end of the assembly.

    The register count is of vector registers, those that accumulate included; a spilled one is
    32 bits of each thread.
    """
    for entry in text.partition("amdhsa.kernels:")[2].split("\n  - "):
        found = dict(re.findall(r"\.(\w+):\s+(\d+)", entry))
        if re.search(rf"\.name:\s+{re.escape(kernel)}\s", entry) and "vgpr_count" in found:
            return Resources(
                registers=int(found["vgpr_count"]),
                spill_bytes=4 * int(found["vgpr_spill_count"]),
                local_bytes=int(found["private_segment_fixed_size"]),
            )
    raise RuntimeError(f"the AMD metadata does not describe {kernel}")


def _count(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(collections.Counter(names).items()))


def sass_instructions(text: str) -> dict[str, int]:
    """Return how often each opcode with its modifiers occurs, for example "LDG.E.128"."""
    return _count(match[1] for match in _SASS.finditer(text))


def amdgcn_instructions(text: str) -> dict[str, int]:
    """Return how often each instruction occurs, for example "buffer_load_dwordx4".

    The suffix that names the encoding is dropped; a load that goes straight to LDS is marked
    ".lds".
    """
    return _count(
        re.sub(r"_e(?:32|64)$", "", match[1]) + (".lds" if match[2].endswith(" lds") else "")
        for match in _AMDGCN.finditer(text)
    )


def _sass_access(instruction: str) -> tuple[str, int] | None:
    opcode, *modifiers = instruction.split(".")
    kind = {"LDG": "loads", "STG": "stores", "LDGSTS": "async_copies"}.get(opcode)
    if kind is None:
        return None
    bits = {"U8": 8, "S8": 8, "U16": 16, "S16": 16, "64": 64, "128": 128, "256": 256}
    return kind, next((bits[m] for m in modifiers if m in bits), 32)


def _amdgcn_access(instruction: str) -> tuple[str, int] | None:
    access = re.match(r"(?:global|buffer|flat)_(load|store)_(lds_)?([a-z0-9]+)", instruction)
    if not access or access[3] not in _AMD_WIDTH:
        return None
    to_lds = access[2] or instruction.endswith(".lds")
    return "async_copies" if to_lds else f"{access[1]}s", _AMD_WIDTH[access[3]]


def widths(instructions: Mapping[str, int]) -> Widths:
    """Return how wide the global loads, stores and asynchronous copies are.

    >>> widths({"LDG.E.128": 2, "LDG.E": 1, "STG.E.U16": 4}).loads
    {32: 1, 128: 2}
    """
    found: dict[str, collections.Counter[int]] = collections.defaultdict(collections.Counter)
    for instruction, count in instructions.items():
        access = _sass_access(instruction) or _amdgcn_access(instruction)
        if access:
            kind, bits = access
            found[kind][bits] += count
    loads, stores, copies = (
        dict(sorted(found[kind].items())) for kind in ("loads", "stores", "async_copies")
    )
    return Widths(loads, stores, copies)
