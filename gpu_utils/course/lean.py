"""The rungs of memory: what is asked for, what DRAM moves of it, and how whole its sectors are.

A tensor of the working set's size is asked for as often as the algorithm must: `lean`. A small one
that every program reads (a weight, a scale) comes out of the L2, and what counts is how much of it
DRAM moves: `lean_dram`. Whether the lanes of a warp share what memory hands out is seen in the
compiled code: `coalesced`.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpu_utils import codegen, quantities, traffic
from gpu_utils.course.labels import case, title
from gpu_utils.specs import GPUSpec
from gpu_utils.traffic import Dram, LineSectors, Sectors, Traffic

__all__ = ["AtMost", "coalesced", "lean", "lean_dram"]


@dataclasses.dataclass(frozen=True)
class AtMost:
    """How many times a tensor's bytes may be asked for, where fewer will do as well.

    For what an algorithm reads again (the second pass of an online softmax, the tiles of a matrix
    product) and for small operands that every program reads.
    """

    times: float


def lean(
    fn: Callable,
    *args: Any,
    loads: Mapping[str, float | AtMost],
    stores: Mapping[str, float | AtMost],
) -> Traffic:
    """Each named tensor is asked for exactly as often as stated, and nothing else is touched.

    Args:
        fn, args: the launcher and its arguments.
        loads, stores: tensor name -> how many times its bytes are asked for: a number for just
            as often, `AtMost` for a limit. The output is `out`; several are `out[0]`, `out[1]`.
            A tensor that is in neither must not be touched at all.
    """
    moved = traffic.count(fn, *args)
    for tensor, record in moved.by_tensor.items():
        for verb, asked, often in (
            ("loads", record.load_bytes, loads.get(tensor, 0)),
            ("stores", record.store_bytes, stores.get(tensor, 0)),
        ):
            assert _is_met(asked, often, record.nbytes), (
                f"{title(fn)} {verb} {tensor} {asked / max(record.nbytes, 1):.2f} times "
                f"({asked} bytes for its {record.nbytes}); {_often(often)}. " + _lines(moved, verb)
            )
    assert not moved.eager_bytes, (
        f"{moved.eager_ops[0].name} at {moved.eager_ops[0].where} moves {moved.eager_bytes} bytes "
        "around the kernel, a pass of its own over memory"
    )
    return moved


def _is_met(asked: int, often: float | AtMost, nbytes: int) -> bool:
    if isinstance(often, AtMost):
        return asked <= often.times * nbytes
    return asked == often * nbytes


def _often(often: float | AtMost) -> str:
    times = often.times if isinstance(often, AtMost) else often
    words = {0.0: "it should not touch it that way at all", 1.0: "once is enough"}
    return words.get(times, f"{times:g} times is enough")


def _lines(moved: Traffic, verb: str) -> str:
    field = "load_bytes" if verb == "loads" else "store_bytes"
    busy = [(place, getattr(line, field)) for place, line in moved.by_line.items()]
    told = ", ".join(f"{place}: {nbytes}" for place, nbytes in busy if nbytes)
    return f"Bytes by line: {told}" if told else "No line of a kernel touches it"


def lean_dram(
    fn: Callable,
    *args: Any,
    spec: GPUSpec | str,
    at_most: float | Mapping[str, float],
    programs_in_flight: int | None = None,
    l2_bytes: int | None = None,
    addresses_only: bool = False,
) -> Dram:
    """DRAM moves no more than stated, under the L2 model.

    DRAM moves whole sectors of 32 bytes, so the rows of what is judged should fill them.

    Args:
        fn, args: the launcher and its arguments.
        spec, programs_in_flight, l2_bytes, addresses_only: as `traffic.dram` takes them. A part
            scaled down to the arguments shows of these what a whole one shows of large ones.
        at_most: how many times the distinct bytes of all tensors DRAM may move, reads and writes
            together; or tensor name -> how many times that tensor's own bytes.

    Raises:
        AssertionError: it moves more, or a tensor that is named is not touched.
    """
    found = traffic.dram(
        fn,
        *args,
        spec=spec,
        programs_in_flight=programs_in_flight,
        l2_bytes=l2_bytes,
        addresses_only=addresses_only,
    )
    sizes = {tensor: record.nbytes for tensor, record in found.traffic.by_tensor.items()}
    often = {
        tensor: (moved.read_bytes + moved.write_bytes) / max(sizes[tensor], 1)
        for tensor, moved in found.by_tensor.items()
    }
    each = ", ".join(f"{tensor} {times:.2f} times its size" for tensor, times in often.items())
    if not isinstance(at_most, Mapping):
        whole = "its distinct bytes"
        often, at_most = {whole: found.total_bytes / found.traffic.unique_bytes}, {whole: at_most}
    for tensor, limit in at_most.items():
        assert tensor in often, f"{title(fn)} on {case(args)} never touches {tensor}"
        assert often[tensor] <= limit, (
            f"{title(fn)} on {case(args)}: DRAM moves {tensor} {often[tensor]:.2f} times, "
            f"MODELLED; {limit:g} times is enough. It moves {each}. What is asked for "
            "again after much else has passed through the L2 comes from DRAM again: let a program "
            "finish with what it reads, in whole sectors of 32 bytes"
        )
    return found


def coalesced(
    fn: Callable,
    *args: Any,
    target: str,
    at_least: float,
    tensors: Sequence[str] = (),
) -> Sectors:
    """The lanes of a warp fill the sectors that they ask for, as the compiler placed them.

    Args:
        fn, args: the launcher and CPU arguments, aligned as in production: it is compiled for
            these, and a length that 16 does not divide makes accesses narrow.
        target: what to compile for.
        at_least: the sector efficiency, 1 at best, of the loads and of the stores of each tensor.
        tensors: which to judge; by default all that a kernel touches.
    """
    try:
        artifacts = codegen.compile(fn, *args, target=target)
    except codegen.CompileError as error:
        raise AssertionError(str(error)) from None
    found = traffic.sectors(fn, *args, artifacts=artifacts)
    for tensor in tensors or found.by_tensor:
        for kind in ("load", "store"):
            count = found.of(tensor, kind)
            assert count.efficiency is None or count.efficiency >= at_least, (
                f"{target}: {_share(count.efficiency)} of the bytes in the sectors that "
                f"{title(fn)}'s {kind}s of {tensor} touch are asked for, MODELLED; "
                f"{_share(at_least)} is needed. {_worst(found, tensor, kind)}. Lanes that are "
                "neighbours should ask for neighbouring bytes: which dimension of the block is "
                "contiguous in memory?"
            )
    return found


def _share(value: float) -> str:
    return quantities.text(value, "%")


def _worst(found: Sectors, tensor: str, kind: str) -> str:
    """The place of the worst access, and what a request costs there."""
    lines = [x for x in found.lines if (x.tensor, x.kind) == (tensor, kind)]
    worst: LineSectors = min(lines, key=lambda line: line.count.efficiency or 0)
    return (
        f"At {worst.place} ({worst.code}) a warp's {kind} touches "
        f"{worst.count.sectors_per_request or 0:.3g} sectors of 32 bytes for "
        f"{worst.count.useful_bytes / max(worst.count.requests, 1):.3g} useful bytes"
    )
