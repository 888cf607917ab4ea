"""What parts come to when they decode with one model: the numbers behind the picture."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

from gpu_utils import specs
from gpu_utils.quantities import Label, Quantity, text
from gpu_utils.roofline import LLM, LLMS, DecodeStep, decode_step, largest_batch
from gpu_utils.specs import GPUSpec
from gpu_utils.viz.roofline_lines import Line

__all__ = ["CEILINGS", "Decoded", "Setting", "batches", "decoded", "lines", "setting"]

CEILINGS = ("data sheet", "reached")  # of matrix products; memory is the data sheet's in both


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is decoded, and how: all but the parts."""

    llm: LLM
    gpus: int
    batch: int
    context: int
    dtype: str
    ceilings: str

    def __str__(self) -> str:
        each = "1 GPU" if self.gpus == 1 else f"{self.gpus} GPUs"
        sheet = "data sheet" if self.ceilings == "data sheet" else "best published matrix product"
        return (
            f"{self.llm.name} in {self.dtype}, {each} for a copy, caches of {self.context} tokens, "
            f"peaks: {sheet}"
        )


@dataclasses.dataclass(frozen=True)
class Decoded:
    """One part in a setting.

    Args:
        name: The part's, without its vendor's.
        spec: Its figures, with the peak that the setting asks for.
        setting: What is decoded.
        unknown: Which figure is missing; empty if none is.
    """

    name: str
    spec: GPUSpec
    setting: Setting
    unknown: str = ""

    @functools.cached_property
    def largest(self) -> int:
        """The most sequences that fit; 0 if the weights do not."""
        given = self.setting
        return largest_batch(given.llm, self.spec, given.gpus, given.context, given.dtype)

    def step(self, batch: int) -> DecodeStep | None:
        """A step with `batch` sequences; None where it does not fit or a figure is missing."""
        if self.unknown or batch > self.largest:
            return None
        given = self.setting
        return decode_step(given.llm, self.spec, batch, given.context, given.dtype, gpus=given.gpus)

    def rate(self, batch: int) -> float:
        """Tokens/s of each GPU with `batch` sequences, which must fit."""
        step = self.step(batch)
        if step is None:
            raise ValueError(f"{batch} sequences are more than the {self.largest} that fit")
        return step.tokens_per_s_per_gpu

    @property
    def drawn(self) -> bool:
        """Whether anything is known and fits."""
        return not self.unknown and self.largest > 0


def setting(model: str, gpus: int, batch: int, context: int, dtype: str, ceilings: str) -> Setting:
    """A setting, or an error that names what is wrong with it."""
    for what, given, known in (("model", model, LLMS), ("ceilings", ceilings, CEILINGS)):
        if given not in known:
            raise ValueError(f"unknown {what} {given!r}: expected one of {', '.join(known)}")
    for what, size in (("gpus", gpus), ("batch", batch), ("context", context)):
        if not (isinstance(size, int) and size >= 1):
            raise ValueError(f"{what} must be a whole number of at least 1, got {size!r}")
    LLMS[model].cache_bytes(1, dtype)  # refuses an unknown dtype
    return Setting(LLMS[model], gpus, batch, context, dtype, ceilings)


def decoded(parts: Sequence[str | GPUSpec], given: Setting) -> tuple[Decoded, ...]:
    """Each part in the setting."""
    return tuple(_decoded(specs.get(p) if isinstance(p, str) else p, given) for p in parts)


def _decoded(spec: GPUSpec, given: Setting) -> Decoded:
    name = spec.name.removeprefix("NVIDIA ").removeprefix("AMD ")
    for field in ("memory_bytes", "memory_bandwidth_bytes_per_s"):
        if getattr(spec, field) is None:
            return Decoded(name, spec, given, f"its {field} is unknown")
    if given.ceilings == "data sheet":
        missing = given.dtype not in spec.peak_flops_per_s
        return Decoded(
            name, spec, given, f"no {given.dtype} peak of it is known" if missing else ""
        )
    rates = [
        found.value
        for found in specs.achieved()
        if (found.part, found.quantity) == (spec.id, f"{given.dtype} matmul")
    ]
    if not rates:
        return Decoded(name, spec, given, f"no {given.dtype} matrix product of it was published")
    return Decoded(
        name, dataclasses.replace(spec, peak_flops_per_s={given.dtype: max(rates)}), given
    )


def lines(given: Setting, found: Sequence[Decoded]) -> tuple[Line, ...]:
    """The picture in words: the setting, a part's line and what it comes to, and who leads."""
    said: list[Line] = [(str(given),)]
    for each in found:
        said += _of_part(each)
    known = [each for each in found if each.drawn]
    if len(known) > 1:
        said += _leads(given, known[0], known[-1])
    return tuple(said)


def _of_part(each: Decoded) -> Iterator[Line]:
    if each.unknown:
        yield (f"{each.name}: not drawn, {each.unknown}",)
        return
    if not each.largest:
        yield (f"{each.name}: not drawn, the weights and one cache do not fit",)
        return
    yield (f"{each.name}: at most {each.largest} sequences fit",)
    for batch in dict.fromkeys((each.setting.batch, each.largest)):
        step, full = each.step(batch), "full, " if batch == each.largest else ""
        if step is None:
            yield (f"- batch {batch}: does not fit",)
            continue
        rate = Quantity(step.tokens_per_s_per_gpu, "tokens/s", Label.MODELLED)
        user = text(step.tokens_per_s_per_user, "tokens/s")
        limit = "memory" if step.weights.limiter == "memory" else "arithmetic"
        caches = text(step.attention.time_s / step.time_s, "%")
        yield (
            *(f"- {full}batch {batch}: ", rate, f" a GPU, {user} a user; "),
            f"weights limited by {limit}, caches take {caches} of the time",
        )


def _leads(given: Setting, one: Decoded, other: Decoded) -> Iterator[Line]:
    """The last part against the first: where the lead of one ends."""
    both = min(one.largest, other.largest)
    ratios = {batch: other.rate(batch) / one.rate(batch) for batch in batches(both)}
    behind = [batch for batch, ratio in ratios.items() if ratio < 1]
    first = f"{text(ratios[1], 'x')} at batch 1"
    if not behind:
        end = f"{text(ratios[both], 'x')} at batch {both}, the largest that fits both"
    elif behind[0] == 1:
        end = f"{text(ratios[both], 'x')} at batch {both}, so it does not lead"
    else:
        end = f"below 1 from batch {behind[0]} on, {text(ratios[both], 'x')} at batch {both}"
    yield (f"{other.name} against {one.name}, tokens/s a GPU: {first}, {end}",)
    ratio = other.rate(other.largest) / one.rate(one.largest)
    yield ("- each with as many sequences as fit: ", Quantity(ratio, "x", Label.MODELLED))


def batches(largest: int) -> list[int]:
    """Batches up to the largest, eight to each doubling, whole numbers."""
    steps: set[int] = {largest}
    power = 0
    while (size := round(2 ** (power / 8))) < largest:
        steps.add(size)
        power += 1
    return sorted(steps)
