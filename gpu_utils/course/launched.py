"""What reached the kernel: the one launch of a launcher, its config, and the FLOP of its tiles."""

import dataclasses
from collections.abc import Callable
from typing import Any

from gpu_utils import codegen
from gpu_utils._triton.launches import Launch
from gpu_utils.codegen import Artifact
from gpu_utils.course.labels import title
from gpu_utils.traffic import Traffic

__all__ = ["MATRIX", "multiplies", "obeys", "on_tensor_cores", "one_launch"]

# The tensor-core instruction of 16-bit factors on each target, the fast one where there are two.
MATRIX = {
    "sm_80": "HMMA",
    "sm_89": "HMMA",
    "sm_90": "HGMMA",
    "sm_100": "UTCHMMA",
    "sm_120": "HMMA",
    "gfx942": "v_mfma",
    "gfx950": "v_mfma",
}


def one_launch(fn: Callable, *args: Any) -> Launch:
    """The launch of a result that one kernel computes; tensors may be on the meta device.

    Raises:
        AssertionError: it launches none, or several.
    """
    launches = codegen.capture(fn, *args)
    assert len(launches) == 1, (
        f"{title(fn)} launches {len(launches)} kernels; one computes the whole result"
    )
    return launches[0]


def obeys(launch: Launch, config: Any) -> None:
    """Each field of a config, a dataclass, reached the kernel under its own name.

    Raises:
        AssertionError: the first that did not.
    """
    came = {**launch.arguments, **launch.options}
    for field, wanted in dataclasses.asdict(config).items():
        assert came.get(field) == wanted, (
            f"{launch.name} was launched with {field} = {came.get(field)}; the config says "
            f"{wanted}. Hand it over: **dataclasses.asdict(config)"
        )


def multiplies(fn: Callable, moved: Traffic, least: int, most: int) -> None:
    """All FLOP of a result are `tl.dot`'s, and no more than its whole tiles have.

    Args:
        fn, moved: the launcher, and what was counted of it.
        least: FLOP of the result.
        most: FLOP of the tiles that cover it.

    Raises:
        AssertionError: fewer, or more.
    """
    assert moved.dot_flops >= least, (
        f"tl.dot does {moved.dot_flops / least:.3g} of the FLOP of {title(fn)}'s result; the rest "
        "is done beside the tensor cores"
    )
    assert moved.dot_flops <= most, (
        f"{title(fn)} multiplies {moved.dot_flops / most:.3g} times as much as its tiles need"
    )


def on_tensor_cores(artifact: Artifact) -> list[str]:
    """Code with the target's own tensor-core instruction, and asynchronous copies on NVIDIA.

    Returns:
        Evidence, as `codegen.expect` states it.

    Raises:
        AssertionError: one of them is missing, it does not fit, or more than 32 bytes spill.
    """
    copies = [] if artifact.target.startswith("gfx") else ["async copy"]
    return codegen.expect(artifact, has=[MATRIX[artifact.target], *copies], spill_bytes=32)
