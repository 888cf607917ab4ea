"""What the compiler makes of a callable's launches, one entry for each different one."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gpu_utils import codegen
from gpu_utils.card import arguments
from gpu_utils.card.model import KernelCode
from gpu_utils.codegen import Artifact, CompileError

if TYPE_CHECKING:
    from gpu_utils._triton.launches import Launch

__all__ = ["Outcomes", "capture", "complete", "grouped"]

# Target -> one entry a launch, in order.
Outcomes = Mapping[str, Sequence[Artifact | CompileError]]


def capture(fn: Callable, call: tuple[tuple, dict]) -> "Sequence[Launch] | Exception":
    """The launches that `fn` makes while none of its kernels runs, or why there are none."""
    args, kwargs = arguments.copies(call)
    try:
        return codegen.capture(fn, *args, **kwargs)
    except Exception as error:
        return error


def complete(outcomes: Outcomes, target: str) -> Sequence[Artifact] | None:
    """The code of all launches for a target, if each of them compiled."""
    built = [made for made in outcomes.get(target, ()) if isinstance(made, Artifact)]
    return built if built and len(built) == len(outcomes[target]) else None


def grouped(launches: "Sequence[Launch]", outcomes: Outcomes) -> tuple[KernelCode, ...]:
    """One `KernelCode` for all launches that came out the same on every target."""
    different: list[KernelCode] = []
    for index, launch in enumerate(launches):
        code = _code(launch.name, {target: made[index] for target, made in outcomes.items()})
        alike = [known for known in different if dataclasses.replace(known, launches=1) == code]
        if alike:
            place = different.index(alike[0])
            different[place] = dataclasses.replace(alike[0], launches=alike[0].launches + 1)
        else:
            different.append(code)
    return tuple(different)


def _code(kernel: str, outcomes: Mapping[str, Artifact | CompileError]) -> KernelCode:
    built, refused = {}, {}
    for target, outcome in outcomes.items():
        if isinstance(outcome, Artifact):
            built[target] = dataclasses.replace(outcome, asm={})
        else:
            refused[target] = str(outcome)
    return KernelCode(kernel, 1, built, refused)
