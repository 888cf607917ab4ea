"""The GPUs that the course compiles for, and what one block may use on each."""

import dataclasses
import re
from typing import Literal

__all__ = ["TARGETS", "Target", "get"]

_KIB = 1024
_CUDA_GUIDE = (
    "NVIDIA, CUDA C++ Programming Guide, Technical Specifications per Compute Capability: "
    "maximum amount of shared memory per thread block"
)
_CDNA3_ISA = "AMD, Instinct MI300 (CDNA3) Instruction Set Architecture: 64 KB of LDS per CU"
_CDNA4_ISA = "AMD, CDNA4 Instruction Set Architecture: 160 KB of LDS per CU"


@dataclasses.dataclass(frozen=True)
class Target:
    """One architecture that code is compiled for.

    `shared_limit_bytes` is the most shared memory (AMD: LDS) that one block can ask for, and
    `tensor_memory_columns` the columns of tensor memory of one SM, 0 where there is none.
    """

    name: str
    vendor: Literal["NVIDIA", "AMD"]
    parts: tuple[str, ...]
    arch: int | str
    warp_size: int
    shared_limit_bytes: int
    source: str
    tensor_memory_columns: int = 0

    @property
    def backend(self) -> str:
        """The name of the compiler's back end: "cuda" or "hip"."""
        return "cuda" if self.vendor == "NVIDIA" else "hip"


def _nvidia(arch: int, parts: tuple[str, ...], shared_kib: int, columns: int = 0) -> Target:
    limit = shared_kib * _KIB
    return Target(f"sm_{arch}", "NVIDIA", parts, arch, 32, limit, _CUDA_GUIDE, columns)


def _amd(arch: str, parts: tuple[str, ...], shared_kib: int, source: str) -> Target:
    return Target(arch, "AMD", parts, arch, 64, shared_kib * _KIB, source)


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        _nvidia(80, ("A100",), 163),
        _nvidia(89, ("L4", "L40S", "RTX 4090"), 99),
        _nvidia(90, ("H100", "H200"), 227),
        _nvidia(100, ("B200",), 227, columns=512),
        _nvidia(120, ("RTX 5090", "RTX PRO 6000"), 99),
        _amd("gfx942", ("MI300X", "MI325X"), 64, _CDNA3_ISA),
        _amd("gfx950", ("MI350X", "MI355X"), 160, _CDNA4_ISA),
    )
}


def _plain(name: str) -> str:
    return re.sub(r"[\s_.-]", "", name.lower())


def get(name: "str | Target") -> Target:
    """Return the target called `name`; case, blanks, "_" and a final "a" do not matter.

    Raises:
        ValueError: no such target; the message lists the known ones.

    >>> get("SM90").name
    'sm_90'
    """
    if isinstance(name, Target):
        return name
    wanted = _plain(str(name))
    for target in TARGETS.values():
        if wanted in (_plain(target.name), _plain(target.name) + "a"):
            return target
    known = ", ".join(f"{t.name} ({', '.join(t.parts)})" for t in TARGETS.values())
    message = f"no target is called {name!r}; the known ones are {known}"
    for target in TARGETS.values():
        if wanted in map(_plain, target.parts):
            message += f". {name} is a part, its target is {target.name!r}"
    raise ValueError(message)
