"""The assertions of the ladder's rungs, shared by every lab's tests.

Each takes a launcher and its arguments, looks through one lens, and either returns a line of
evidence or raises an `AssertionError` whose message says what was expected, what came, and what
to try.
"""

import inspect
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from gpu_utils import bench, codegen, quantities, specs, tolerance, traffic
from gpu_utils._triton.devices import answered
from gpu_utils._triton.launches import Launch, intercept
from gpu_utils.bench import Timing
from gpu_utils.course.labels import case, tensors, title
from gpu_utils.course.launched import multiplies, obeys, on_tensor_cores, one_launch
from gpu_utils.course.lean import AtMost, coalesced, lean, lean_dram
from gpu_utils.roofline import OpCost
from gpu_utils.traffic import OutOfBounds, Traffic

__all__ = [
    "AtMost",
    "at_size",
    "close",
    "coalesced",
    "compiled",
    "equal",
    "fast",
    "fresh",
    "lean",
    "lean_dram",
    "multiplies",
    "no_eager",
    "obeys",
    "on_tensor_cores",
    "one_launch",
    "runs",
    "safe",
    "wide",
]

_COVERED = 0.6  # of an output, by what three of the programs that store it let expect


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def runs(fn: Callable, *args: Any, like: Any) -> str:
    """It launches a kernel and returns new tensors of the right shape and dtype.

    An access out of bounds is left to `safe`, which says more about it.

    Args:
        fn, args: the launcher and its arguments.
        like: a tensor like the one it returns, or a tuple of them for several.
    """
    try:
        moved = traffic.count(fn, *args)
    except OutOfBounds:
        return "a kernel was launched"
    outs = _as_promised(fn, args, moved.result, like)
    assert moved.launches, _no_kernel(fn, moved)
    _own_kernels(fn, args)
    pairs = itertools.product(tensors(args), outs.values())
    shared = [out for tensor, out in pairs if _same_memory(tensor, out)]
    assert not shared, f"{title(fn)} returned its own input: allocate a new tensor to store into"
    launch = moved.launches[0]
    programs = "1 program" if launch.programs == 1 else f"{launch.programs} programs"
    return f"{launch.kernel} ran in {programs} on {case(args)}"


def _as_promised(
    fn: Callable, args: Sequence[Any], result: Any, like: Any
) -> dict[str, torch.Tensor]:
    """What `fn` returned, by name, each of the shape and dtype of its counterpart in `like`."""
    if isinstance(like, torch.Tensor):
        wanted, came = [like], [result]
    else:
        wanted = list(like)
        came = list(result) if isinstance(result, tuple | list) else [result]
        assert len(came) == len(wanted), (
            f"{title(fn)} must return {len(wanted)} tensors; it returned {len(came)}. "
            "Does the launcher end with all of them, as in `return a, b`?"
        )
    for out, tensor in zip(came, wanted, strict=True):
        _is_like(fn, args, out, tensor)
    return traffic.outputs(result)


def _is_like(fn: Callable, args: Sequence[Any], out: Any, like: torch.Tensor) -> None:
    assert isinstance(out, torch.Tensor), (
        f"{title(fn)} must return a tensor; it returned {type(out).__name__}. "
        "Does the launcher end with `return out`?"
    )
    assert type(out) is torch.Tensor, (
        f"{title(fn)} must return a plain torch.Tensor; it returned a {type(out).__name__}"
    )
    assert out.shape == like.shape, (
        f"{title(fn)} on {case(args)} must return shape {tuple(like.shape)}; "
        f"it returned {tuple(out.shape)}"
    )
    assert out.dtype == like.dtype, (
        f"{title(fn)} on {case(args)} must return {like.dtype}; it returned {out.dtype}. "
        "Allocate the output with the input's dtype"
    )


def _same_memory(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def _no_kernel(fn: Callable, moved: Traffic) -> str:
    ops = ", ".join(dict.fromkeys(f"{op.name} ({op.where})" for op in moved.eager_ops))
    did = f"; torch did the work with {ops}" if ops else ""
    return f"{title(fn)} launched no Triton kernel{did}. Launch one: kernel[(programs,)](...)"


def _own_kernels(fn: Callable, args: Sequence[Any]) -> None:
    """What is launched stands beside the launcher: somebody else's kernel is no answer."""
    home = inspect.unwrap(fn).__code__.co_filename
    caught: list[Launch] = []
    with answered(), intercept(caught.append):
        fn(*args)
    for launch in caught:
        assert launch.file == home, (
            f"{title(fn)} launches {launch.name} of {Path(launch.file).name}: "
            f"write the kernel in {Path(home).name}"
        )


def safe(fn: Callable, *args: Any) -> Traffic:
    """No access outside a tensor, no input written, every output element stored by a kernel."""
    kept = [(tensor, _bits(tensor).clone()) for tensor in tensors(args)]
    try:
        moved = traffic.count(fn, *args)
    except OutOfBounds as error:
        raise AssertionError(f"with {case(args)}: {error}") from None
    assert moved.launches, _no_kernel(fn, moved)
    for number, (tensor, bits) in enumerate(kept, start=1):
        changed = torch.nonzero(bits != _bits(tensor))
        assert not len(changed), (
            f"with {case(args)}: {title(fn)} wrote into its input (tensor {number}): element "
            f"{int(changed[0]) // tensor.element_size()} changed. Store into the output only"
        )
    outputs = {n: t for n, t in moved.by_tensor.items() if n == "out" or n.startswith("out[")}
    assert outputs, f"{title(fn)} returned its own input: allocate a new tensor to store into"
    for name, record in outputs.items():
        size = record.itemsize
        missing = (record.nbytes - record.unique_store_bytes) // size
        assert not missing, (
            f"with {case(args)}: {missing} of the {record.nbytes // size} elements of {name} "
            f"were never stored by {title(fn)}'s kernel, and memory from torch.empty holds "
            "anything. Do the programs and the store's mask cover every element?"
        )
        assert not record.foreign_bytes, (
            f"with {case(args)}: {record.foreign_bytes} bytes of {name} changed after the kernel "
            "had stored them, by no kernel and no torch operation: leave the result to the kernel"
        )
    return moved


def no_eager(fn: Callable, moved: Traffic) -> None:
    """No torch operation computes or copies where a kernel was asked for."""
    ops = [op for op in moved.eager_ops if op.kind != "fill"]
    assert not ops, (
        f"{title(fn)} asks torch for {ops[0].name} at {ops[0].where}, which moves "
        f"{ops[0].read_bytes + ops[0].written_bytes} bytes outside your kernel: "
        "do that work in the kernel"
    )


def equal(fn: Callable, expected: Any, *args: Any) -> None:
    """Equal bit for bit: infinities and the sign of zero included; NaN equals NaN."""
    moved = traffic.count(fn, *args)
    no_eager(fn, moved)
    outs = _as_promised(fn, args, moved.result, expected)
    for (name, out), one in zip(outs.items(), _each(expected), strict=True):
        _agrees(fn, args, name, tolerance.exact(out, one), "exactly")


def close(fn: Callable, reference: Callable, *args: Any) -> None:
    """Within the budget of `tolerance.close`, one rule for every lab."""
    moved = traffic.count(fn, *args)
    no_eager(fn, moved)
    oracle, narrow = reference(*tolerance.widened(args)), reference(*args)
    outs = _as_promised(fn, args, moved.result, narrow)
    for (name, out), low, high in zip(outs.items(), _each(narrow), _each(oracle), strict=True):
        _agrees(fn, args, name, tolerance.close(out, low, high), "closely enough")


def _each(result: Any) -> list[torch.Tensor]:
    return list(traffic.outputs(result).values())


def fresh(fn: Callable, reference: Callable, *args: Any) -> None:
    """A second call with the same tensors, changed in between, is answered anew.

    Nothing is kept from call to call, and the second result does not overwrite the first. The
    tensors among `args` are reversed in place, and keep their address and version.
    """
    before = traffic.count(fn, *args)
    first = _each(before.result)
    kept = [_bits(out).clone() for out in first]
    for tensor in tensors(args):
        tensor.data.copy_(tensor.flip(0))  # .data: a memo keyed by `_version` sees no change
    close(fn, reference, *args)
    again = traffic.count(fn, *args)
    assert again.launches == before.launches, (
        f"called again with the same tensors, {title(fn)} does not launch what it launched first: "
        "keep nothing from call to call"
    )
    assert all(torch.equal(_bits(out), bits) for out, bits in zip(first, kept, strict=True)), (
        f"a second call of {title(fn)} changed the result of the first: allocate in each call"
    )


def at_size(fn: Callable, reference: Callable, *args: Any, elementwise: bool = False) -> Traffic:
    """Three programs of the launch at production size are right; the rest is taken on trust.

    What only a large launch does (another branch, offsets beyond 32 bits, a grid of its own) is
    compiled by `compiled`, and run here.

    Args:
        fn, args: the launcher and CPU arguments of production size, without NaN.
        reference: made for such arguments in reasonable time.
        elementwise: an element of the result depends on the same element of each tensor, so that
            the reference is asked only for those that were stored.
    """
    try:
        moved = _three_programs(fn, args)
    except OutOfBounds as error:
        raise AssertionError(f"with {case(args)}: {error}") from None
    whole = None if elementwise else _expected(reference, args)
    for name, out in traffic.outputs(moved.result).items():
        # Memory that no program wrote is NaN, which alone differs from itself.
        wrote = (out == out).nonzero(as_tuple=True)
        numbers, stored = wrote[0].numel(), moved.by_tensor[name].unique_store_bytes
        assert numbers * out.element_size() == stored > 0, (
            f"with {case(args)}: of {stored // out.element_size()} elements of {name} that three "
            f"programs of {title(fn)} stored, {numbers} are numbers"
        )
        assert (share := _likely_share(moved, name)) >= _COVERED, (
            f"with {case(args)}: three programs of {title(fn)} store {stored} bytes of {name}, so "
            f"all of them store about {share:.0%} of it. Does the grid grow with the input?"
        )
        if whole is None:
            asked = [a[wrote] if isinstance(a, torch.Tensor) else a for a in args]
            narrow, oracle = (of[name] for of in _expected(reference, asked))
        else:
            narrow, oracle = (of[name][wrote] for of in whole)
        found = tolerance.close(out[wrote], narrow, oracle)
        assert not found, (
            f"{title(fn)} is right on small tensors, and in three programs of its launch on "
            f"{case(args)} it is not: {found}"
        )
    return moved


def _three_programs(fn: Callable, args: Sequence[Any]) -> Traffic:
    """The first, the last, and one by chance; another one if by chance it is of the edge.

    Programs at the edge of a large result store less than others, and are few. The first is whole:
    where the three let expect less than a third, no other draw would help.
    """
    for _ in range(8):
        moved = traffic.count(fn, *args, sample=3)
        least = min(_likely_share(moved, name) for name in traffic.outputs(moved.result))
        if least >= _COVERED or least < 1 / 3:
            break
    return moved


def _likely_share(moved: Traffic, name: str) -> float:
    """How much of an output all programs store, if they store as much as the three that ran."""
    record = moved.by_tensor[name]
    times = (launch.programs / min(3, launch.programs) for launch in moved.launches)
    larger = max(times, default=0)
    return record.unique_store_bytes * larger / record.nbytes


def _expected(reference: Callable, args: Sequence[Any]) -> list[dict[str, torch.Tensor]]:
    """What the reference makes of the arguments, and of the same in float64, by name."""
    return [traffic.outputs(reference(*of)) for of in (args, tolerance.widened(list(args)))]


def _agrees(
    fn: Callable, args: Sequence[Any], name: str, found: tolerance.Disagreement | None, how: str
) -> None:
    which = f" {name}:" if "[" in name else ""  # one of several
    assert not found, f"{title(fn)} on {case(args)} is not {how} right:{which} {found}"


def compiled(
    fn: Callable, *args: Any, targets: Sequence[str], checked: Sequence[Any]
) -> dict[str, list]:
    """The launcher's kernels for each target, each within the target's limits and spill budget.

    Args:
        fn, args: the launcher and arguments of production size, on the meta device.
        targets: what to compile for.
        checked: small CPU arguments; the kernels launched for them, which the lower rungs ran,
            must be those that are compiled.

    Returns:
        target -> one Artifact a launch, the launch that moves most first.
    """
    launches = _launches(fn, args)
    known = {launch.kernel for launch in codegen.capture(fn, *checked)}
    strangers = [launch.name for launch in launches if launch.kernel not in known]
    assert not strangers, (
        f"{title(fn)} launches {strangers[0]} on {case(args)} and another kernel on "
        f"{case(checked)}: what is compiled must be what was checked"
    )
    order = _by_bytes(fn, args, launches)
    try:
        built = codegen.compile(fn, *args, target=list(targets))
    except codegen.CompileError as error:
        raise AssertionError(str(error)) from None
    for artifacts in built.values():
        for artifact in artifacts:
            codegen.expect(artifact, spill_bytes=32)
    return {target: [artifacts[index] for index in order] for target, artifacts in built.items()}


def _launches(fn: Callable, args: Sequence[Any]) -> list:
    """What `fn` launches for meta tensors, which must be what it launches for real ones."""
    launches = codegen.capture(fn, *args)
    for launch in launches:
        for name, value in launch.arguments.items():
            assert not isinstance(value, torch.Tensor) or value.is_meta, (
                f"{launch.name} gets {name} on {value.device} although the inputs are elsewhere: "
                "allocate on the input's device, as torch.empty_like(x) does"
            )
    # Never touched, these cost address space and no memory.
    real = [torch.empty_like(x, device="cpu") if isinstance(x, torch.Tensor) else x for x in args]
    assert [_told(x) for x in launches] == [_told(x) for x in codegen.capture(fn, *real)], (
        f"{title(fn)} launches something else for meta tensors than for real ones"
    )
    return launches


def _by_bytes(fn: Callable, args: Sequence[Any], launches: Sequence[Launch]) -> list[int]:
    """The launches' positions, the one that moves most first: no decoy stands for the main one."""
    if len(launches) == 1:
        return [0]
    sampled = traffic.count(fn, *args, addresses_only=True, sample=3).launches
    moved = [
        (part.load_bytes + part.store_bytes) * launch.programs / min(3, launch.programs)
        for part, launch in zip(sampled, launches, strict=True)
    ]
    return sorted(range(len(launches)), key=lambda index: -moved[index])


def _told(launch: Any) -> tuple:
    """A launch without its tensors."""
    plain = {k: v for k, v in launch.arguments.items() if not isinstance(v, torch.Tensor)}
    return launch.kernel, launch.grid, plain, launch.options


def wide(built: dict[str, list], bits: int = 128, *, only: bool = False) -> list[str]:
    """The main launch has loads and stores of `bits` on every target; one evidence line a target.

    Args:
        built: from `compiled`; the main launch is the one that moves most.
        bits: the width that is asked for.
        only: no narrower load or store may stand beside them.
    """
    lines = []
    for target, artifacts in built.items():
        main = artifacts[0]
        lanes = codegen.targets.get(target).warp_size
        for verb, widths in (("load", main.load_widths), ("store", main.store_widths)):
            assert widths.get(bits), (
                f"{target}: no {bits}-bit {verb} in {main.kernel}'s code; its {verb}s are "
                f"{max(widths, default=0)} bits wide at most. How many elements does each thread "
                f"own (here BLOCK_SIZE over {lanes} x num_warps), and does the compiler know that "
                "the mask cuts only between groups of four?"
            )
            assert not only or min(widths) == bits, (
                f"{target}: beside its {bits}-bit {verb}s, {main.kernel} has some of only "
                f"{min(widths)} bits; at this length all can be wide"
            )
        names = [name for name in main.instructions if _is_wide(name, bits)]
        lines.append(f"{target}: {', '.join(names)} COMPILED")
    return lines


def _is_wide(instruction: str, bits: int) -> bool:
    moves = instruction.startswith(("LDG", "STG", "buffer_", "global_"))
    return moves and instruction.endswith((f".{bits}", f"x{bits // 32}"))


def fast(
    fn: Callable,
    peer: Callable,
    *args: Any,
    share: float,
    compulsory_bytes: int | None = None,
) -> str:
    """On a GPU: at least `share` of the speed of `peer` on the same arguments, in one run.

    Args:
        fn, args: the launcher and its arguments.
        peer: what it is compared with, timed in alternation with it.
        share: how much of the peer's speed is asked for.
        compulsory_bytes: what it must read and write. If the part's memory cannot do that in the
            time, then it was not done, and the time is refused.
    """
    found = bench.compare(fn, peer, *args)
    unknown = _implausible(fn, args, found.a, compulsory_bytes)
    ratio, low, high = (
        quantities.Quantity(value, "x", quantities.Label.MEASURED)
        for value in (found.ratio, found.low, found.high)
    )
    said = f"{ratio} the speed of {title(peer)} (95 %: {low.text} to {high.text})"
    assert found.ratio >= share, (
        f"{title(fn)} reaches {said} on {case(args)}; {share:.0%} is asked for"
    )
    return "; ".join(filter(None, (said, found.a.swing, unknown)))


def _implausible(fn: Callable, args: Sequence[Any], timing: Timing, nbytes: int | None) -> str:
    """Refuse a time that is too short; why it could not be judged, if so."""
    if nbytes is None:
        return ""
    try:
        spec = specs.get(timing.device.removeprefix("cuda: ")).per_device()
        bench.believable(timing, OpCost(0, nbytes), spec)
    except LookupError as error:
        return f"not held against a roof: {error}"
    except bench.ImplausibleTimingError as error:
        raise AssertionError(f"{title(fn)} on {case(args)}: {error}") from None
    return ""
