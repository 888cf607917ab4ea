"""What unfolds on a card: by tensor, by source line, by target, by part, and what is assumed."""

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gpu_utils.card.lines import KINDS, Bare, Code, compiled_for, instructions, is_temporary, short
from gpu_utils.card.markup import ARITHMETIC, MEMORY, Bar, Cell, drawn, folded, table
from gpu_utils.codegen import targets
from gpu_utils.quantities import Label, Quantity

if TYPE_CHECKING:
    from gpu_utils.card.model import Card, KernelCode, PartBound
    from gpu_utils.codegen import Artifact
    from gpu_utils.traffic import Traffic

__all__ = ["by_line", "by_part", "by_target", "by_tensor", "notes"]

_NONE: Cell = ("–",)


def by_tensor(card: "Card") -> str:
    """What the kernels load and store of each tensor; what torch moves around them."""
    moved = card.traffic
    if moved is None:
        return ""
    body = ""
    if moved.launches:
        rows = [
            (
                (Code(name), " (temporary)" if is_temporary(card, name) else ""),
                (_counted(row.nbytes),),
                _asked(row.load_bytes, row.nbytes),
                _asked(row.store_bytes, row.nbytes),
            )
            for name, row in moved.by_tensor.items()
        ]
        head = (("tensor",), ("its size",), ("kernels load",), ("kernels store",))
        body += table("bytes by tensor", "lrrr", head, rows)
    if moved.eager_ops:
        operations = [
            (
                (Code(op.name),),
                (op.where,),
                (_counted(op.read_bytes),),
                (_counted(op.written_bytes),),
            )
            for op in moved.eager_ops
        ]
        head = (("torch operation",), ("line",), ("reads",), ("writes",))
        body += table("bytes by torch operation", "llrr", head, operations)
    return folded("By tensor", (Quantity(moved.total_bytes, "B", Label.COUNTED),), body)


def by_line(card: "Card") -> str:
    """What each line of a kernel loads and stores."""
    moved = card.traffic
    if moved is None or not moved.by_line:
        return ""
    rows = [
        ((where,), _asked(line.load_bytes), _asked(line.store_bytes), (Code(line.code),))
        for where, line in moved.by_line.items()
    ]
    head = (("line",), ("loads",), ("stores",), ("source",))
    body = table("bytes by source line", "lrrl", head, rows)
    return folded("By source line", (Quantity(moved.kernel_bytes, "B", Label.COUNTED),), body)


def by_target(card: "Card") -> str:
    """What the compiler made of each kernel, target beside target."""
    if not card.kernels:
        return ""
    body = "".join(_code(code, card.targets) for code in card.kernels)
    built = [artifact for code in card.kernels for artifact in code.built.values()]
    compilers = "; ".join(dict.fromkeys(artifact.compiler for artifact in built))
    if compilers:
        body += f'with <span class="compiled">⟨{html.escape(compilers)}⟩</span>'
    shown = compiled_for(card)
    registers = [artifact.registers for artifact in built if artifact.target == shown]
    most = Quantity(max(registers, default=None), "registers", Label.COMPILED)
    return folded("By target", (most, f" on {shown}"), body)


def _code(code: "KernelCode", wanted: Sequence[str]) -> str:
    built = [code.built.get(target) for target in wanted]
    rows: list[list[Cell]] = [[("fits",), *(_fits(code, target) for target in wanted)]]
    for kind in KINDS:
        rows.append([(kind,), *(_listed(instructions(a, kind) if a else {}) for a in built)])
    for title, field in (
        ("a thread loads", "load_widths"),
        ("a thread stores", "store_widths"),
        ("past the registers", "async_copy_widths"),
    ):
        rows.append([(title,), *(_widths(getattr(a, field) if a else {}) for a in built)])
    rows.append([("registers a thread",), *(_figure(a, "registers") for a in built)])
    rows.append([("spilled a thread",), *(_figure(a, "spill_bytes", "B") for a in built)])
    rows.append([("shared memory",), *map(_shared, built)])
    if any(a and a.tensor_memory_columns for a in built):
        columns = [_figure(a, "tensor_memory_columns") for a in built]
        rows.append([("tensor memory columns",), *columns])
    rows.append([("warps",), *(_figure(a, "num_warps") for a in built)])
    rows = [row for row in rows if any(cell != _NONE for cell in row[1:])]
    times = f" x {code.launches}" if code.launches > 1 else ""
    head: list[Cell] = [(Code(code.kernel), times), *((target,) for target in wanted)]
    return table(f"{code.kernel} by target", "l" * len(head), head, rows)


def _fits(code: "KernelCode", target: str) -> Cell:
    if target in code.refused:
        return ("✗ does not compile:\n", code.refused[target].partition(": ")[2])
    return ("✓",) if code.built[target].fits else ("✗ does not fit",)


def _listed(names: Mapping[str, int]) -> Cell:
    return _lines((Code(name), " ", _compiled(count)) for name, count in names.items())


def _widths(table: Mapping[int, int]) -> Cell:
    return _lines((f"{bits} bit ", _compiled(table[bits])) for bits in sorted(table, reverse=True))


def _lines(cells: Iterable[Cell]) -> Cell:
    """Cells one below the other."""
    return tuple(piece for cell in cells for piece in ("\n", *cell))[1:] or _NONE


def _figure(artifact: "Artifact | None", field: str, unit: str = "") -> Cell:
    return (_compiled(getattr(artifact, field), unit),) if artifact else _NONE


def _shared(artifact: "Artifact | None") -> Cell:
    if artifact is None:
        return _NONE
    limit = Quantity(targets.get(artifact.target).shared_limit_bytes, "iB", Label.CITED)
    return (_compiled(artifact.shared_bytes, "iB"), " of ", Bare(limit))


def by_part(card: "Card") -> str:
    """The two times of each part, and which of them binds."""
    if not card.bounds or card.traffic is None:
        return ""
    head = (("part",), ("memory",), ("arithmetic",), ("limited by",), ("ridge",))
    counted = bool(card.traffic.launches)
    rows = [_part(part, counted) for part in card.bounds]
    body = table("bounds by part", "lllll", head, rows)
    first = card.bounds[0]
    if first.bound is None:
        return folded("By part", (f"unknown on {short(first)}",), body)
    least = Quantity(first.bound.time_s, "s", Label.MODELLED)
    return folded("By part", ("at least ", least, f" on {short(first)}, from cold memory"), body)


def _part(part: "PartBound", counted: bool) -> Sequence[Cell]:
    bound = part.bound
    if bound is None:
        return (short(part),), _NONE, _NONE, (f"unknown: {part.unknown}",), _NONE
    memory = (
        _modelled(bound.memory_time_s, "s"),
        Bar(bound.memory_time_s / bound.time_s, MEMORY),
    )
    if not counted:
        return (short(part),), memory, ("not counted",), ("unknown",), _NONE
    return (
        (short(part),),
        memory,
        (
            _modelled(bound.compute_time_s, "s"),
            Bar(bound.compute_time_s / bound.time_s, ARITHMETIC),
        ),
        ("memory" if bound.limiter == "memory" else "arithmetic",),
        (_modelled(part.ridge, "FLOP/byte"), f", {part.dtype}"),
    )


def notes(card: "Card") -> str:
    """What the numbers mean, and what they take for granted."""
    said = "".join(f"<li>{drawn(note)}</li>" for note in _notes(card))
    if not said:
        return ""
    return folded("What is assumed", (), f'<ul style="margin:0;padding-left:1.2em">{said}</ul>')


def _notes(card: "Card") -> Iterator[Cell]:
    if card.traffic and card.compulsory_bytes is not None:
        yield from _counting(card.traffic, card.compulsory_bytes)
    if card.kernels:
        yield (
            "Compiled as a launch with these very arguments would be: the compiler knows their "
            "alignment, and which sizes are 1 or multiples of 16.",
        )
    known = [part for part in card.bounds if part.bound]
    if known:
        yield (
            "A part needs at least the longer of two times: compulsory bytes over its memory "
            "bandwidth, FLOP over its peak. No launch, latency or cache is in it.",
        )
        dtypes = dict.fromkeys(part.dtype for part in known)
        plain = all(dtype in ("fp32", "fp64") for dtype in dtypes)
        yield (
            f"The peak is {', '.join(dtypes)}: "
            + ("of the plain cores, since there are no matrix products." if plain else
               "matrix products as the dtype of the largest argument."),
        )  # fmt: skip
    for part in known:
        yield (f"Bandwidth and peak of {short(part)}: {'; '.join(part.sources)}.",)


def _counting(moved: "Traffic", compulsory_bytes: int) -> Iterator[Cell]:
    yield (
        Quantity(compulsory_bytes, "B", Label.COUNTED),
        " are compulsory: the distinct bytes of the arguments that are used and of the results. "
        "Temporaries are not.",
    )
    if moved.launches:
        programs = sum(launch.programs for launch in moved.launches)
        yield (
            Quantity(moved.flops, "FLOP", Label.COUNTED),
            " in ",
            _counted(programs, "program" if programs == 1 else "programs"),
            "; lanes that a mask switches off calculate too.",
        )
    if any(op.kind == "compute" for op in moved.eager_ops):
        yield ("What torch's own operations calculate is not counted in FLOP.",)
    yield (
        Quantity(moved.peak_bytes, "B", Label.COUNTED),
        " is the most that its own allocations held at once.",
    )


def _modelled(value: float | None, unit: str) -> Bare:
    return Bare(Quantity(value, unit, Label.MODELLED))


def _counted(value: float, unit: str = "B") -> Bare:
    return Bare(Quantity(value, unit, Label.COUNTED))


def _compiled(value: int, unit: str = "") -> Bare:
    return Bare(Quantity(value, unit, Label.COMPILED))


def _asked(nbytes: int, size: int = 0) -> Cell:
    """Bytes that were asked for, and how many times a tensor of that size."""
    if not nbytes:
        return _NONE
    return (_counted(nbytes), *((", ", _counted(nbytes / size, "x")) if size else ()))
