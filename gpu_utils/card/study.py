"""Look at one callable through every lens, and put what each saw on one card."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from gpu_utils import codegen, specs
from gpu_utils.bench import Timing
from gpu_utils.card import arguments, compiled, records
from gpu_utils.card.checked import checked
from gpu_utils.card.errors import said
from gpu_utils.card.model import Card, PartBound, Recorded
from gpu_utils.card.native import target_of
from gpu_utils.card.needs import Needs, bound, needs
from gpu_utils.card.timed import part_of, timed
from gpu_utils.card.walk import Walk, walk
from gpu_utils.codegen import Artifact
from gpu_utils.specs import GPUSpec, UnknownPartError

__all__ = ["PARTS", "TARGETS", "study"]

TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
PARTS = ("h100-sxm5-80gb", "b200-sxm", "mi300x")  # each has its code among TARGETS


def study(
    fn: Callable[..., Any],
    /,
    *args: Any,
    reference: Callable[..., Any] | None = None,
    targets: Sequence[str] = TARGETS,
    parts: Sequence[str] = PARTS,
    name: str | None = None,
    recorded: Sequence[Recorded] | None = None,
    **kwargs: Any,
) -> Card:
    """The kernel card of `fn(*args, **kwargs)`: right, lean, native and fast.

    `fn` runs on copies, so that the arguments stay as they are: interpreted once, to count what
    it moves, to model what DRAM and the lanes of a warp make of that, and to compare what it
    returns; compiled, as a launch with these arguments would be; timed, if they are on a GPU.
    With tensors on the meta device only its addresses are walked. What a lens cannot tell is said
    on the card. An error that `fn` raises even when its kernels do not run is `fn`'s own, and
    goes on to the caller.

    Args:
        fn: launches kernels, or does not. Everything else is passed to it.
        reference: the truth, called with the same arguments in their dtype and in float64.
        targets: what to compile for, as `codegen.compile` takes them.
        parts: the machines whose bound is stated, as `specs.get` takes them, of each one device;
            the card's first line is about the first.
        name: what to call it, if not by its own name.
        recorded: recorded runs of the solution; by default those of a launcher of `fn`'s name
            with these very arguments, which are stale if they launched other kernels.

    Raises:
        ValueError: an unknown target.
        UnknownPartError: an unknown part.
    """
    wanted = tuple(codegen.targets.get(target).name for target in targets)
    machines = [specs.get(part).per_device() for part in parts]
    given = arguments.named(fn, args, kwargs)
    call = (args, kwargs)
    launches = compiled.capture(fn, call)
    caught = [] if isinstance(launches, Exception) else launches
    outcomes = codegen.compile_launches(caught, wanted) if caught else {}
    target = target_of(machines[0].target if machines else None, wanted)
    artifacts = compiled.complete(outcomes, target)

    counted = arguments.copies(call, "cpu")
    ran = _walked(fn, counted, machines, artifacts)
    if isinstance(ran, Exception) and isinstance(launches, Exception):
        raise launches  # kernels or no kernels, it fails
    moved = ran.traffic if isinstance(ran, Walk) else None
    least = needs(moved, given, counted) if moved else None
    bounds = tuple(_bound(spec, least, ran) for spec in machines)
    check = checked(ran, reference, call)
    timing, untimed = timed(fn, call, check, least)
    if recorded is None:
        recorded = list(records.found(arguments.name_of(fn), given, caught))
    return Card(
        name=name or arguments.name_of(fn),
        arguments={key: arguments.described(value) for key, value in given.items()},
        check=check,
        traffic=dataclasses.replace(moved, result=None) if moved else None,
        uncounted=said(ran) if isinstance(ran, Exception) else "",
        compulsory_bytes=least.nbytes if least else None,
        elements=least.elements if least else None,
        targets=wanted,
        kernels=compiled.grouped(caught, outcomes) if outcomes else (),
        uncompiled=_uncompiled(launches, moved, outcomes),
        sectors=ran.sectors if isinstance(ran, Walk) else None,
        unsectored=ran.unsectored if isinstance(ran, Walk) else "",
        bounds=bounds,
        timing=timing,
        timed_on=_timed_on(timing, least, bounds) if timing else None,
        untimed=untimed,
        recorded=records.in_order(recorded, bounds[0].part if bounds else ""),
    )


def _walked(
    fn: Callable,
    call: tuple[tuple, dict],
    parts: Sequence[GPUSpec],
    artifacts: Sequence[Artifact] | None,
) -> Walk | Exception:
    try:
        return walk(fn, call, parts, artifacts)
    except Exception as error:
        return error


def _uncompiled(launches: Any, moved: Any, outcomes: compiled.Outcomes) -> str:
    """Why there is no code, if there is none."""
    if outcomes:
        return ""
    if moved and not moved.launches:
        return "no Triton kernel to compile"
    if isinstance(launches, Exception):
        return f"what it launches depends on what its kernels compute: {said(launches)}"
    return "no target was asked for"


def _bound(spec: GPUSpec, least: Needs | None, ran: Walk | Exception) -> PartBound:
    if isinstance(ran, Exception):
        return bound(spec, least)
    part = bound(spec, least, ran.dram.get(spec.id))
    return dataclasses.replace(part, unmodelled=ran.unmodelled.get(spec.id, ""))


def _timed_on(timing: Timing, least: Needs | None, bounds: Sequence[PartBound]) -> PartBound | None:
    """The bound on the GPU that was timed, if its part is in the table."""
    try:
        spec = part_of(timing)
    except UnknownPartError:
        return None
    known = (part for part in bounds if part.part == spec.id)
    return next(known, bound(spec, least))
