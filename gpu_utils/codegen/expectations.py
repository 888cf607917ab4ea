"""State what compiled code must look like, and say what to try where it does not."""

from collections.abc import Iterable, Mapping

from gpu_utils.codegen.artifact import Artifact
from gpu_utils.codegen.classes import CLASSES, OTHER, class_of
from gpu_utils.quantities import Label, Quantity

__all__ = ["expect"]

# How to get an instruction that is missing, by its name or else by its class.
_TO_GET = {
    "HGMMA": "wgmma takes a BLOCK_M of at least 64 and at least 4 warps; else mma.sync (HMMA) is "
    "left, which reaches two thirds of its rate",
    "UTCHMMA": "tcgen05 takes a BLOCK_M of at least 64 and 4 or 8 warps; else mma.sync is left",
    "matrix": "tl.dot, with operands of 16 or 8 bits, or float32 as tf32, and blocks of at least "
    "16 x 16",
    "async copy": "load in a loop with num_stages of at least 2, where the compiler sees that a "
    "lane's elements are contiguous and aligned, 4 bytes at least and 16 at best: strides that 16 "
    "divides, and no mask along the contiguous dimension that may end anywhere",
    "TMA": "load through tl.make_tensor_descriptor(...), whose last stride is 1 and whose other "
    "strides are multiples of 16 bytes",
    "special function": "tl.exp2 is one MUFU.EX2 an element; tl.exp multiplies first",
}
# How to lose one that should not be there, by its class.
_TO_LOSE = {
    "matrix": "compare the operands' dtype and the block sizes with what the wanted one takes",
    "async copy": "a load still goes through pointers; let a descriptor do it",
    "global memory": "find the load or store that still passes through registers",
    "local memory": "a smaller block or more warps keep it in registers",
    "special function": "move what does not change out of the loop",
    "float": "fold what is constant into one factor before the loop",
}
# Where to look for what stands in a class's place.
_IN_PLACE_OF = {"async copy": ("global memory",), "TMA": ("async copy", "global memory")}


def expect(
    artifact: Artifact,
    /,
    *,
    has: str | Iterable[str] | Mapping[str, int] = (),
    lacks: str | Iterable[str] = (),
    at_most: Mapping[str, int] | None = None,
    spill_bytes: int | None = None,
    fits: bool = True,
) -> list[str]:
    """Hold an artifact to what is expected of it, and return what was found as evidence lines.

    Instructions are named as `Artifact.select` takes them: "HGMMA", "MUFU.EX2", "v_mfma", or a
    class such as "matrix" or "async copy", which means something on every target.

    Args:
        artifact: what was compiled.
        has: the instruction or instructions that must be there; a mapping says how many at
            least.
        lacks: the instruction or instructions that must not be there.
        at_most: instruction -> how many may stand in the code.
        spill_bytes: the most that a thread may spill; None does not look.
        fits: whether a block must fit on the target.

    Raises:
        AssertionError: the first expectation that is not met: what was expected, what is
            there, and what to try.
    """
    least = has if isinstance(has, Mapping) else _each(has, 1)
    most = {**_each(lacks, 0), **(at_most or {})}
    where = f"{artifact.target}: {artifact.kernel}"
    assert artifact.fits or not fits, f"{where} does not fit: {artifact.fits_message}"
    found = ["fits"] if fits else []
    found += [_at_least(artifact, name, count) for name, count in least.items()]
    found += [_at_most(artifact, name, count) for name, count in most.items()]
    if spill_bytes is not None:
        spilled = artifact.spill_bytes
        assert spilled <= spill_bytes, (
            f"{where} spills {spilled} bytes a thread from registers to memory, expected at most "
            f"{spill_bytes}. Try: {_TO_LOSE['local memory']}"
        )
        found.append(Quantity(spilled, "bytes spilled", Label.COMPILED).text)
    return [f"{artifact.target}: {', '.join(found)} COMPILED"]


def _each(names: str | Iterable[str], count: int) -> dict[str, int]:
    return dict.fromkeys([names] if isinstance(names, str) else names, count)


def _at_least(artifact: Artifact, name: str, least: int) -> str:
    count = artifact.count(name)
    assert count >= least, (
        f"{artifact.target}: {artifact.kernel} has {count or 'no'} {name}, expected "
        f"{'some' if least == 1 else f'at least {least}'}{_instead(artifact, name)}"
        f"{_try(_TO_GET, name)}"
    )
    return f"{name} ⟨{count}⟩"


def _at_most(artifact: Artifact, name: str, most: int) -> str:
    there = artifact.select(name)
    count = sum(there.values())
    assert count <= most, (
        f"{artifact.target}: {artifact.kernel} has {_listed(there)}, expected "
        f"{f'at most {most} {name}' if most else f'no {name}'}{_try(_TO_LOSE, name)}"
    )
    return f"{name} ⟨{count}⟩" if most else f"no {name}"


def _class(name: str) -> str:
    return name if name in CLASSES else class_of(name)


def _instead(artifact: Artifact, name: str) -> str:
    """Say what of the same kind is in the code."""
    kind = _class(name)
    if kind == OTHER:
        return ""
    for place in (kind, *_IN_PLACE_OF.get(kind, ())):
        if there := artifact.select(place):
            return f"; of {place} instructions it has {_listed(there)}"
    return f"; it has no {kind} instructions"


def _listed(there: Mapping[str, int]) -> str:
    """{"LDG.E": 2} -> "2 x LDG.E"; the most frequent first, four at most."""
    names = sorted(there, key=lambda name: -there[name])
    more = ["..."] if len(names) > 4 else []
    return ", ".join([f"{there[name]} x {name}" for name in names[:4]] + more)


def _try(hints: Mapping[str, str], name: str) -> str:
    hint = hints.get(name) or hints.get(_class(name))
    return f". Try: {hint}" if hint else ""
