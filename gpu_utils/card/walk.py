"""One walk over a callable's accesses, from which all is counted and modelled."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from gpu_utils.card import arguments
from gpu_utils.codegen import Artifact
from gpu_utils.specs import GPUSpec, UnknownFigureError
from gpu_utils.traffic import Dram, Sectors, Traffic
from gpu_utils.traffic.l2_model import DramModel
from gpu_utils.traffic.lane_model import LaneModel
from gpu_utils.traffic.lens import run

__all__ = ["Walk", "walk"]


@dataclasses.dataclass(frozen=True)
class Walk:
    """What the walk showed.

    Attributes:
        traffic: the counts, with what `fn` returned; the models hold them without.
        dram: id of a part -> what its DRAM moves.
        unmodelled: id of a part -> why that is not known.
        sectors: None, with the reason in `unsectored`, where there are none.
    """

    traffic: Traffic
    dram: Mapping[str, Dram]
    unmodelled: Mapping[str, str]
    sectors: Sectors | None
    unsectored: str


def walk(
    fn: Callable,
    call: tuple[tuple, dict],
    parts: Sequence[GPUSpec],
    artifacts: Sequence[Artifact] | None,
) -> Walk:
    """Interpret `fn` once; the models of the parts and of the lanes look on.

    To look on costs less than a second walk: a millisecond for some ten programs.

    Args:
        fn: what to run.
        call: its arguments, positional and by name. If a tensor is on the meta device, only the
            addresses are walked.
        parts: whose DRAM is modelled, each one device.
        artifacts: what all its launches became for one target, for the sectors; None if unknown.
    """
    models: dict[str, DramModel] = {}
    unmodelled = {}
    for spec in parts:
        try:
            models[spec.id] = DramModel(spec)
        except UnknownFigureError as error:
            unmodelled[spec.id] = str(error).partition(": ")[0]
    lanes = [LaneModel(artifacts)] if artifacts else []
    meta = any(tensor.is_meta for tensor in arguments.tensors(call))
    args, kwargs = call
    moved = run(fn, args, kwargs, [*models.values(), *lanes], addresses_only=meta)
    if not moved.launches:
        return Walk(moved, {}, {}, None, "")
    counts = dataclasses.replace(moved, result=None)
    dram = {part: model.result(counts) for part, model in models.items()}
    try:
        sectors = [model.result(counts) for model in lanes]
    except ValueError as error:  # it launches something else when its kernels compute
        return Walk(moved, dram, unmodelled, None, str(error).partition(": ")[0])
    return Walk(moved, dram, unmodelled, sectors[0] if sectors else None, "")
