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
    "cubin_resources",
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
    """What one thread occupies: registers, and bytes of local memory for those that spilled."""

    registers: int
    spill_bytes: int


@dataclasses.dataclass(frozen=True)
class Widths:
    """Accesses to global memory: bits that one lane moves -> number of instructions.

    `async_copies` go from global to shared memory without passing through registers.
    """

    loads: dict[int, int]
    stores: dict[int, int]
    async_copies: dict[int, int]


def _run_on(cubin: bytes, *command: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        ran = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed: {ran.stderr.strip()}")
    return ran.stdout


def sass(cubin: bytes) -> str:
    """Return the machine code of a cubin as text.

    nvdisasm without its data-flow pass takes about 0.2 s, cuobjdump -sass 0.25 to 0.35 s; nearly
    all of it is the tool's start.
    """
    return _run_on(cubin, compiler.tool("nvdisasm"), "-c", "-ndf")


def cubin_resources(cubin: bytes, kernel: str) -> Resources:
    """Return what the entry function `kernel` occupies; the stack holds what was spilled."""
    usage = _run_on(cubin, compiler.tool("cuobjdump"), "-res-usage")
    entry = re.search(rf"Function {re.escape(kernel)}:\s+REG:(\d+) STACK:(\d+)", usage)
    if not entry:
        raise RuntimeError(f"cuobjdump names no function {kernel}: {usage.strip()}")
    return Resources(registers=int(entry[1]), spill_bytes=int(entry[2]))


def amdgcn_resources(text: str, kernel: str) -> Resources:
    """Return what `kernel` occupies, from the metadata at the end of the assembly.

    The register count is of vector registers, those that accumulate included; spilled ones
    lie in the private segment.
    """
    for entry in text.partition("amdhsa.kernels:")[2].split("\n  - "):
        if re.search(rf"\.name:\s+{re.escape(kernel)}\s", entry):
            registers = re.search(r"\.vgpr_count:\s+(\d+)", entry)
            private = re.search(r"\.private_segment_fixed_size:\s+(\d+)", entry)
            if registers and private:
                return Resources(registers=int(registers[1]), spill_bytes=int(private[1]))
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
