"""Look at one callable through every lens, and put what each saw on one card."""

import contextlib
import dataclasses
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from gpu_utils import bench, codegen, specs, tolerance, traffic
from gpu_utils.bench import Timing
from gpu_utils.card import arguments
from gpu_utils.card.model import Card, Check, KernelCode, PartBound
from gpu_utils.card.needs import Needs, bound, needs
from gpu_utils.codegen import Artifact
from gpu_utils.roofline import OpCost
from gpu_utils.specs import GPUSpec, UnknownFigureError, UnknownPartError
from gpu_utils.traffic import OutOfBounds, Traffic

__all__ = ["PARTS", "TARGETS", "study"]

TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
PARTS = ("h100-sxm5-80gb", "b200-sxm", "mi300x")  # each has its code among TARGETS

# Frames of this package and of installed ones are not the caller's code.
_NOT_THE_CALLERS = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parents[1]))


def study(
    fn: Callable[..., Any],
    /,
    *args: Any,
    reference: Callable[..., Any] | None = None,
    targets: Sequence[str] = TARGETS,
    parts: Sequence[str] = PARTS,
    name: str | None = None,
    **kwargs: Any,
) -> Card:
    """The kernel card of `fn(*args, **kwargs)`: right, lean, native and fast.

    `fn` runs on copies, so that the arguments stay as they are: interpreted, to count what it
    moves and to compare what it returns; compiled, as a launch with these arguments would be;
    timed, if they are on a GPU. What a lens cannot tell is said on the card. An error that `fn`
    raises even when its kernels do not run is `fn`'s own, and goes on to the caller.

    Args:
        fn: launches kernels, or does not. Everything else is passed to it.
        reference: the truth, called with the same arguments in their dtype and in float64.
        targets: what to compile for, as `codegen.compile` takes them.
        parts: the machines whose bound is stated, as `specs.get` takes them; the card's first
            line is about the first.
        name: what to call it, if not by its own name.

    Raises:
        ValueError: an unknown target.
        UnknownPartError: an unknown part.
    """
    wanted = tuple(codegen.targets.get(target).name for target in targets)
    machines = [specs.get(part) for part in parts]
    given = arguments.named(fn, args, kwargs)
    call = (args, kwargs)
    counted = arguments.copies(call, "cpu")
    ran = _count(fn, counted)
    moved = ran if isinstance(ran, Traffic) else None
    least = needs(moved, given, counted) if moved else None
    kernels, uncompiled = _compile(fn, call, wanted, ran)
    check = _check(ran, reference, call)
    timing, untimed = _time(fn, call, check, least)
    return Card(
        name=name or _name(fn),
        arguments={key: arguments.described(value) for key, value in given.items()},
        check=check,
        traffic=dataclasses.replace(moved, result=None) if moved else None,
        compulsory_bytes=least.nbytes if least else None,
        elements=least.elements if least else None,
        targets=wanted,
        kernels=kernels,
        uncompiled=uncompiled,
        bounds=tuple(bound(spec, least) for spec in machines),
        timing=timing,
        timed_on=_bound_where(timing, least) if timing else None,
        untimed=untimed,
    )


def _name(fn: Callable) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


def _called(reference: Callable) -> str:
    name = _name(reference)
    return "the reference" if name == "<lambda>" else name


def _said(error: Exception) -> str:
    """An error on one line, with its place in the caller's code."""
    text = " ".join(str(error).split())
    if isinstance(error, OutOfBounds):
        return text  # it says by itself what it is, and where
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_NOT_THE_CALLERS)]
    where = f"{Path(own[-1].filename).name}:{own[-1].lineno}: " if own else ""
    return f"{where}{type(error).__name__}: {text}"


def _count(fn: Callable, call: tuple[tuple, dict]) -> Traffic | Exception:
    args, kwargs = call
    try:
        return traffic.count(fn, *args, **kwargs)
    except Exception as error:
        return error


def _compile(
    fn: Callable, call: tuple[tuple, dict], targets: Sequence[str], ran: Traffic | Exception
) -> tuple[tuple[KernelCode, ...], str]:
    """The code of each different launch, or why there is none."""
    if isinstance(ran, Traffic) and not ran.launches:
        return (), "no Triton kernel to compile"
    args, kwargs = arguments.copies(call)
    try:
        launches = codegen.capture(fn, *args, **kwargs)
    except Exception as error:
        if isinstance(ran, Exception):  # kernels or no kernels, it fails
            raise
        return (), f"what it launches depends on what its kernels compute: {_said(error)}"
    if not targets:
        return (), "no target was asked for"
    compiled = codegen.compile_launches(launches, targets)
    different: list[KernelCode] = []
    for index, launch in enumerate(launches):
        code = _code(launch.name, {target: compiled[target][index] for target in targets})
        alike = [known for known in different if dataclasses.replace(known, launches=1) == code]
        if alike:
            place = different.index(alike[0])
            different[place] = dataclasses.replace(alike[0], launches=alike[0].launches + 1)
        else:
            different.append(code)
    return tuple(different), ""


def _code(kernel: str, outcomes: dict[str, Any]) -> KernelCode:
    built, refused = {}, {}
    for target, outcome in outcomes.items():
        if isinstance(outcome, Artifact):
            built[target] = dataclasses.replace(outcome, asm={})
        else:
            refused[target] = str(outcome)
    return KernelCode(kernel, 1, built, refused)


def _check(ran: Traffic | Exception, reference: Callable | None, call: tuple[tuple, dict]) -> Check:
    """Compare each tensor that was returned with the reference's."""
    if any(tensor.is_meta for tensor in arguments.tensors(call)):
        return Check("not compared", "not run: meta tensors hold no values")
    if isinstance(ran, Exception):
        return Check("stopped", _said(ran))
    if reference is None:
        return Check("not compared", "no reference was given")
    results = arguments.tensors(ran.result)
    narrow, oracle = (
        arguments.tensors(reference(*args, **kwargs))
        for args, kwargs in (
            arguments.copies(call, "cpu"),
            tolerance.widened(arguments.copies(call, "cpu")),
        )
    )
    if len(results) != len(narrow):
        return Check(
            "wrong",
            f"it returns {len(results)} tensors, and {_called(reference)} returns {len(narrow)}",
        )
    for number, (out, like, truth) in enumerate(zip(results, narrow, oracle, strict=True)):
        if wrong := _differs(out, like, truth):
            which = "out" if len(results) == 1 else f"out[{number}]"
            return Check("wrong", f"{which} differs from {_called(reference)}: {wrong}")
    return Check(
        "agrees", f"agrees with {_called(reference)} in every element, for these arguments"
    )


def _differs(out: torch.Tensor, like: torch.Tensor, truth: torch.Tensor) -> str:
    if (out.shape, out.dtype) != (like.shape, like.dtype):
        came, expected = map(arguments.described, (out, like))
        return f"it is {came}, expected {expected}"
    if out.is_floating_point():
        return str(tolerance.close(out, like, truth) or "")
    return str(tolerance.exact(out, like) or "")


def _time(
    fn: Callable, call: tuple[tuple, dict], check: Check, least: Needs | None
) -> tuple[Timing | None, str]:
    """How long one call takes, or why that is not known."""
    if not _on_gpu(call):
        if torch.cuda.is_available():
            return None, "pass CUDA tensors to time it; no recording yet"
        return None, "no GPU here; no recording yet"
    if check.state in ("wrong", "stopped"):
        return None, "not timed: what is wrong has no speed"
    args, kwargs = arguments.copies(call)
    try:
        timing = bench.measure(fn, *args, **kwargs)
    except Exception as error:
        return None, f"not timed: {_said(error)}"
    try:
        return _believed(timing, least), ""
    except bench.ImplausibleTimingError as error:
        return None, f"refused: {error}"


def _believed(timing: Timing, least: Needs | None) -> Timing:
    """The timing, held against each kind of work; what is unknown of the part refutes nothing."""
    if least is None:
        return timing
    cost_bytes = least.read + least.written
    for dtype, flops in least.flops.items():
        with contextlib.suppress(UnknownPartError, UnknownFigureError):
            cost, spec = OpCost(flops, cost_bytes), _part_of(timing)
            bench.believable(timing, cost, spec, dtype, written_bytes=least.written)
    return timing


def _part_of(timing: Timing) -> GPUSpec:
    return specs.get(timing.device.removeprefix("cuda: ")).per_device()


def _on_gpu(call: tuple[tuple, dict]) -> bool:
    return any(tensor.is_cuda for tensor in arguments.tensors(call))


def _bound_where(timing: Timing, least: Needs | None) -> PartBound | None:
    """The bound on the GPU that was timed, if its part is in the table."""
    try:
        return bound(_part_of(timing), least)
    except UnknownPartError:
        return None
