"""Make recordings, on a machine with a GPU: check the result, time it, time its peers."""

import concurrent.futures
import dataclasses
import datetime
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gpu_utils import bench, parity, specs
from gpu_utils.bench import Timing
from gpu_utils.parity import Fingerprint
from gpu_utils.recordings.case import Case
from gpu_utils.recordings.launched import Launched, described
from gpu_utils.recordings.model import Recording, Run
from gpu_utils.roofline import OpCost

if TYPE_CHECKING:
    from gpu_utils._triton.launches import Launch

__all__ = ["AutotunedError", "NoGPUError", "WrongResultError", "begin", "compiled_peer",
           "first_line", "record", "with_ceilings", "with_peers"]  # fmt: skip

NO_COUNTERS = "ncu was not run: `make gpu` runs it"
_BUSY_S = 0.05  # of work before the clocks are read


class NoGPUError(RuntimeError):
    """A GPU is needed and there is none."""


class WrongResultError(RuntimeError):
    """What is wrong has no speed."""


class AutotunedError(ValueError):
    """What was timed is not known: the autotuner chose it, and may choose another next time."""


def begin(command: str) -> Run:
    """Read the environment of a run; its ceilings are still to be measured.

    Args:
        command: What was typed, to be kept.

    Raises:
        NoGPUError: There is no GPU.
    """
    _need_gpu()
    today = datetime.datetime.now(datetime.UTC).date()
    return Run(today, command, parity.fingerprint(use_torch=True))


def with_ceilings(run: Run, budget_s: float = 15) -> Run:
    """The run with what the GPU reaches, measured in about `budget_s` seconds."""
    _need_gpu()
    return dataclasses.replace(run, ceilings=bench.ceilings(budget_s, device="cuda", fresh=True))


def _need_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        raise NoGPUError(
            "a recording needs an NVIDIA or AMD GPU, and torch finds none here: run this on a "
            "machine with one, and bring the file that it writes to gpu_utils/recordings/data"
        )


def record(case: Case, unit: str, run: Run, budget_s: float = 1.0) -> Recording:
    """Measure one case on the current GPU.

    The result is compared with the reference's first, on the GPU: this is the compiled code, which
    no other check runs.

    Args:
        case: What to measure.
        unit: Whose solution it is.
        run: From `begin`.
        budget_s: About how long to time each of the callables, in seconds.

    Raises:
        NoGPUError: There is no GPU.
        WrongResultError: The result is not what the reference says.
        AutotunedError: A kernel has several configurations to choose from.
        ImplausibleTimingError: The part's memory cannot move the bytes in that time.
    """
    from gpu_utils import codegen

    _need_gpu()
    arguments = case.arguments("cuda")
    requested = case.requested_bytes(arguments, _checked(case, arguments)) or (None, None)
    launches = _settled(case, codegen.capture(case.function, *arguments))
    timing = bench.measure(case.function, *arguments, budget_s=budget_s)
    _believed(timing, requested)
    recording = Recording(
        unit=unit,
        function=case.name,
        arguments={name: described(value) for name, value in case.named(arguments).items()},
        launches=tuple(map(Launched.of, launches)),
        timing=timing,
        peers={},
        load_bytes=requested[0],
        store_bytes=requested[1],
        flops=case.flops,
        dtype=case.dtype,
        counters=None,
        under_load=_under_load(lambda: case.function(*arguments)),
        unknown={"counters": NO_COUNTERS},
        run=run,
    )
    peers = {"torch": case.reference, **case.peers}
    return with_peers(recording, case, peers, arguments, budget_s)


def with_peers(
    recording: Recording,
    case: Case,
    peers: Mapping[str, Callable[..., Any]],
    arguments: tuple,
    budget_s: float = 1.0,
) -> Recording:
    """The recording with more peers, each timed in alternation with the case's launcher.

    One that fails is left out, and why is kept.
    """
    timed, unknown = dict(recording.peers), dict(recording.unknown)
    for name, peer in peers.items():
        try:
            timed[name] = bench.compare(case.function, peer, *arguments, budget_s=2 * budget_s)
        except Exception as error:  # somebody else's code: its failure is a finding
            unknown[f"peers.{name}"] = first_line(error)
    return dataclasses.replace(recording, peers=timed, unknown=unknown)


def compiled_peer(case: Case) -> Callable[..., Any]:
    """The reference through torch.compile, which compiles at its first call."""
    import torch

    return torch.compile(case.reference, dynamic=False)


def first_line(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _checked(case: Case, arguments: tuple) -> Any:
    """The result, compared with the reference by the course's one rule."""
    from gpu_utils import tolerance, traffic

    result = case.function(*arguments)
    narrow = traffic.outputs(case.reference(*arguments))
    oracle = traffic.outputs(case.reference(*tolerance.widened(arguments)))
    outs = traffic.outputs(result)
    if _kinds(outs) != _kinds(narrow):
        raise WrongResultError(
            f"{case.name} returns {described(outs)}, expected {described(narrow)}"
        )
    for name, out in outs.items():
        like = narrow[name]
        floating = out.is_floating_point()
        wrong = tolerance.close(out, like, oracle[name]) if floating else tolerance.exact(out, like)
        if wrong:
            raise WrongResultError(f"{case.name} is wrong on this GPU: {name}: {wrong}")
    return result


def _settled(case: Case, launches: "list[Launch]") -> "list[Launch]":
    """The launches, if they are those that a GPU makes."""
    tuned = dict.fromkeys(launch.name for launch in launches if launch.tuned)
    if tuned:
        raise AutotunedError(
            f"{case.name} launches {', '.join(tuned)}, which an autotuner gives one of several "
            "configurations: which one was timed, a recording could not say. Launch the one that "
            "it chooses (TRITON_PRINT_AUTOTUNING=1 prints it) without the autotuner, and record "
            "that"
        )
    return launches


def _kinds(tensors: Mapping[str, Any]) -> dict[str, tuple]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _believed(timing: Timing, requested: tuple[float | None, float | None]) -> None:
    """Refuse a time that beats the part's data sheet, where the bytes and the part are known."""
    loaded, stored = requested
    if loaded is None or stored is None:
        return
    try:
        spec = specs.get(timing.device.removeprefix("cuda: ")).per_device()
        bench.believable(timing, OpCost(0, loaded + stored), spec, written_bytes=stored)
    except LookupError:
        return  # a part that the table lacks: the measured ceilings are recorded beside it


def _under_load(call: Callable[[], Any]) -> Fingerprint:
    """Clocks and throttling, read while the GPU is kept at work."""
    import torch

    until = time.perf_counter() + _BUSY_S
    while time.perf_counter() < until:
        call()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        reading = pool.submit(parity.under_load)
        while not reading.done():
            call()
    torch.cuda.synchronize()
    return reading.result()
