"""The assertions of the ladder's rungs, shared by every lab's tests.

Each takes a launcher and its arguments, looks through one lens, and either returns a line of
evidence or raises an `AssertionError` whose message says what was expected, what came, and what
to try.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from gpu_utils import bench, codegen, quantities, tolerance, traffic
from gpu_utils.traffic import OutOfBounds, Traffic


def _label(args: Sequence[Any]) -> str:
    """How to name a case: the shapes and dtype of its tensors."""
    tensors = _tensors(args)
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
    dtype = str(tensors[0].dtype).removeprefix("torch.") if tensors else ""
    return f"{dtype} {shapes}"


def _tensors(args: Sequence[Any]) -> list[torch.Tensor]:
    return [arg for arg in args if isinstance(arg, torch.Tensor)]


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def runs(fn: Callable, *args: Any, like: torch.Tensor) -> str:
    """It launches a kernel and returns one new tensor of the right shape and dtype.

    An access out of bounds is left to `safe`, which says more about it.
    """
    try:
        moved = traffic.count(fn, *args)
    except OutOfBounds:
        return "a kernel was launched"
    out = _as_promised(fn, args, moved.result, like)
    assert moved.launches, _no_kernel(fn, moved)
    shared = [tensor for tensor in _tensors(args) if _same_memory(tensor, out)]
    assert not shared, f"{fn.__name__} returned its own input: allocate a new tensor to store into"
    launch = moved.launches[0]
    programs = "1 program" if launch.programs == 1 else f"{launch.programs} programs"
    return f"{launch.kernel} ran in {programs} on {_label(args)}"


def _as_promised(fn: Callable, args: Sequence[Any], out: Any, like: torch.Tensor) -> torch.Tensor:
    assert isinstance(out, torch.Tensor), (
        f"{fn.__name__} must return a tensor; it returned {type(out).__name__}. "
        "Does the launcher end with `return out`?"
    )
    assert out.shape == like.shape, (
        f"{fn.__name__} on {_label(args)} must return shape {tuple(like.shape)}; "
        f"it returned {tuple(out.shape)}"
    )
    assert out.dtype == like.dtype, (
        f"{fn.__name__} on {_label(args)} must return {like.dtype}; it returned {out.dtype}. "
        "Allocate the output with the input's dtype"
    )
    return out


def _same_memory(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def _no_kernel(fn: Callable, moved: Traffic) -> str:
    ops = ", ".join(dict.fromkeys(f"{op.name} ({op.where})" for op in moved.eager_ops))
    did = f"; torch did the work with {ops}" if ops else ""
    return f"{fn.__name__} launched no Triton kernel{did}. Launch one: kernel[(programs,)](...)"


def safe(fn: Callable, *args: Any) -> Traffic:
    """No access outside a tensor, no input written, every output element stored by a kernel."""
    kept = [(tensor, _bits(tensor).clone()) for tensor in _tensors(args)]
    try:
        moved = traffic.count(fn, *args)
    except OutOfBounds as error:
        raise AssertionError(f"with {_label(args)}: {error}") from None
    assert moved.launches, _no_kernel(fn, moved)
    for number, (tensor, bits) in enumerate(kept, start=1):
        changed = torch.nonzero(bits != _bits(tensor))
        assert not len(changed), (
            f"with {_label(args)}: {fn.__name__} wrote into its input (tensor {number}): element "
            f"{int(changed[0]) // tensor.element_size()} changed. Store into the output only"
        )
    outputs = {n: t for n, t in moved.by_tensor.items() if n == "out" or n.startswith("out[")}
    assert outputs, f"{fn.__name__} returned its own input: allocate a new tensor to store into"
    for name, record in outputs.items():
        size = record.itemsize
        missing = (record.nbytes - record.unique_store_bytes) // size
        assert not missing, (
            f"with {_label(args)}: {missing} of the {record.nbytes // size} elements of {name} "
            f"were never stored by {fn.__name__}'s kernel, and memory from torch.empty holds "
            "anything. Do the programs and the store's mask cover every element?"
        )
    return moved


def no_eager(fn: Callable, moved: Traffic) -> None:
    """No torch operation computes or copies where a kernel was asked for."""
    ops = [op for op in moved.eager_ops if op.kind != "fill"]
    assert not ops, (
        f"{fn.__name__} asks torch for {ops[0].name} at {ops[0].where}, which moves "
        f"{ops[0].read_bytes + ops[0].written_bytes} bytes outside your kernel: "
        "do that work in the kernel"
    )


def equal(fn: Callable, expected: torch.Tensor, *args: Any) -> None:
    """Equal bit for bit: infinities and the sign of zero included; NaN equals NaN."""
    moved = traffic.count(fn, *args)
    no_eager(fn, moved)
    out = _as_promised(fn, args, moved.result, expected)
    _agrees(fn, args, tolerance.exact(out, expected), "exactly")


def close(fn: Callable, reference: Callable, *args: Any) -> None:
    """Within the budget of `tolerance.close`, one rule for every lab."""
    moved = traffic.count(fn, *args)
    no_eager(fn, moved)
    oracle, narrow = reference(*tolerance.widened(args)), reference(*args)
    out = _as_promised(fn, args, moved.result, narrow)
    _agrees(fn, args, tolerance.close(out, narrow, oracle), "closely enough")


def _agrees(
    fn: Callable, args: Sequence[Any], found: tolerance.Disagreement | None, how: str
) -> None:
    assert not found, f"{fn.__name__} on {_label(args)} is not {how} right: {found}"


def lean(fn: Callable, *args: Any, loads: dict[str, float], stores: dict[str, float]) -> Traffic:
    """Each named tensor is asked for exactly as often as stated, and nothing else is touched.

    Args:
        fn, args: the launcher and its arguments.
        loads, stores: tensor name -> how many times its bytes may be asked for. The output is
            `out`. A tensor that is in neither must not be touched at all.
    """
    moved = traffic.count(fn, *args)
    for name, record in moved.by_tensor.items():
        for verb, asked, often in (
            ("loads", record.load_bytes, loads.get(name, 0)),
            ("stores", record.store_bytes, stores.get(name, 0)),
        ):
            assert asked == often * record.nbytes, (
                f"{fn.__name__} {verb} {name} {asked / max(record.nbytes, 1):.2f} times "
                f"({asked} bytes for its {record.nbytes}); {_often(often)}. " + _lines(moved, verb)
            )
    assert not moved.eager_bytes, (
        f"{moved.eager_ops[0].name} at {moved.eager_ops[0].where} moves {moved.eager_bytes} bytes "
        "around the kernel, a pass of its own over memory"
    )
    return moved


def _often(times: float) -> str:
    words = {0.0: "it should not touch it that way at all", 1.0: "once is enough"}
    return words.get(times, f"{times:g} times is enough")


def _lines(moved: Traffic, verb: str) -> str:
    field = "load_bytes" if verb == "loads" else "store_bytes"
    busy = [(name, getattr(line, field)) for name, line in moved.by_line.items()]
    told = ", ".join(f"{name}: {nbytes}" for name, nbytes in busy if nbytes)
    return f"Bytes by line: {told}" if told else "No line of a kernel touches it"


def compiled(fn: Callable, *args: Any, targets: Sequence[str]) -> dict[str, list]:
    """The launcher's kernels for each target, each within the target's limits and spill budget.

    Returns:
        target -> one Artifact a launch.
    """
    try:
        built = codegen.compile(fn, *args, target=list(targets))
    except codegen.CompileError as error:
        raise AssertionError(str(error)) from None
    for target, artifacts in built.items():
        for artifact in artifacts:
            assert artifact.fits, f"{artifact.kernel} on {target}: {artifact.fits_message}"
            assert artifact.spill_bytes <= 32, (
                f"{artifact.kernel} on {target} spills {artifact.spill_bytes} bytes a thread from "
                "registers to memory; a smaller block or more warps keep it in registers"
            )
    return built


def wide(built: dict[str, list], bits: int = 128) -> list[str]:
    """Every target's code has loads and stores of `bits`; one evidence line a target."""
    lines = []
    for target, artifacts in built.items():
        for verb in ("load", "store"):
            widths = _sum(getattr(artifact, f"{verb}_widths") for artifact in artifacts)
            lanes = codegen.targets.get(target).warp_size
            assert widths.get(bits), (
                f"{target}: no {bits}-bit {verb} in the compiled code; its {verb}s are "
                f"{max(widths, default=0)} bits wide at most. How many elements does each thread "
                f"own (here BLOCK_SIZE over {lanes} x num_warps), and does the compiler know that "
                "the mask cuts only between groups of four?"
            )
        names = [name for a in artifacts for name in a.instructions if _is_wide(name, bits)]
        lines.append(f"{target}: {', '.join(dict.fromkeys(names))} COMPILED")
    return lines


def _sum(tables: Iterable[Mapping[int, int]]) -> dict[int, int]:
    total: dict[int, int] = {}
    for table in tables:
        for key, count in table.items():
            total[key] = total.get(key, 0) + count
    return total


def _is_wide(instruction: str, bits: int) -> bool:
    moves = instruction.startswith(("LDG", "STG", "buffer_", "global_"))
    return moves and instruction.endswith((f".{bits}", f"x{bits // 32}"))


def fast(fn: Callable, peer: Callable, *args: Any, share: float) -> str:
    """On a GPU: at least `share` of the speed of `peer` on the same arguments, in one run.

    The two are timed in turn and the better of three ratios counts, since a neighbour can slow
    either.
    """
    ratios = []
    for _ in range(3):
        mine, theirs = bench.measure(fn, *args), bench.measure(peer, *args)
        ratios.append(theirs.median_s / mine.median_s)
        if ratios[-1] >= share:
            break
    assert max(ratios) >= share, (
        f"{fn.__name__} reaches {max(ratios):.0%} of {peer.__name__}'s speed on {_label(args)}; "
        f"{share:.0%} is asked for"
    )
    return f"{quantities.Quantity(max(ratios), 'x', quantities.Label.MEASURED)} {peer.__name__}"
