"""The GPUs that the course compiles for, and what one block may use on each."""

import dataclasses
import re
from typing import Literal

from gpu_utils import occupancy

__all__ = ["TARGETS", "Target", "get"]


@dataclasses.dataclass(frozen=True)
class Target:
    """One architecture that code is compiled for.

    `shared_limit_bytes` is the most shared memory (AMD: LDS) that one block can ask for,
    `threads_limit` its most threads, and `tensor_memory_columns` the columns of tensor memory
    of one SM, 0 where there is none.
    """

    name: str
    vendor: Literal["NVIDIA", "AMD"]
    parts: tuple[str, ...]
    arch: int | str
    warp_size: int
    shared_limit_bytes: int
    threads_limit: int
    tensor_memory_columns: int
    source: str

    @property
    def backend(self) -> str:
        """The name of the compiler's back end: "cuda" or "hip"."""
        return "cuda" if self.vendor == "NVIDIA" else "hip"


def _target(name: str, *parts: str) -> Target:
    nvidia = name.startswith("sm_")
    sm = occupancy.limits(name)
    return Target(
        name=name,
        vendor="NVIDIA" if nvidia else "AMD",
        parts=parts,
        arch=int(name.removeprefix("sm_")) if nvidia else name,
        warp_size=sm.warp_size,
        shared_limit_bytes=sm.shared_bytes_per_block,
        threads_limit=sm.threads_per_block,
        tensor_memory_columns=sm.tensor_memory_columns,
        source=sm.source,
    )


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        _target("sm_80", "A100"),
        _target("sm_89", "L4", "L40S", "RTX 4090"),
        _target("sm_90", "H100", "H200"),
        _target("sm_100", "B200"),
        _target("sm_120", "RTX 5090", "RTX PRO 6000"),
        _target("gfx942", "MI300X", "MI325X"),
        _target("gfx950", "MI350X", "MI355X"),
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
