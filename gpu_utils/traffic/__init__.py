"""The traffic lens: what a callable's kernels load and store, counted on the interpreter.

Kernels of others are taken as they are, through their own launchers (tests/unit/others has
27). What a launcher asks of the device is answered for an H100 SXM, on every machine alike,
and an autotuned kernel runs the first configuration that its own pruning leaves, so a count may be
of other tiles than a GPU's tuner would choose. What cannot be read, and why:

- CUDA C++, CuTe, cuTile and Gluon kernels: only Triton is interpreted (Gluon compiles).
- Packages that refuse to be imported without a GPU, as flag-gems 5.0.2 does, or that need names
  which this Triton no longer has, as flash-attn-triton 0.1.1 does.
- What a package decided when it was imported, or from `torch.version.hip`: it found no GPU then,
  and keeps to it. So liger-kernel's cross-entropy asks for 32 warps on AMD too, where it would
  ask for 16; and fla-core keeps to its smaller tiles.
- Launchers that insist on `tensor.is_cuda`, as `sageattention.sageattn` does: call what it calls.
- Launchers that ask a compiled kernel for its registers, or time something: nothing is loaded.
- Loads that only the compiler knows to be dead. conch's `scaled_gemm` loads from an empty tensor
  and uses nothing of it; here that is out of bounds.
- Programs that wait for one another: they run one after the other, in grid order, so a lock is
  found free, and a program that waits for a later one waits for ever.
"""

from gpu_utils._triton.addresses import NeedsData
from gpu_utils.traffic.l2_model import Dram, TensorDram, dram
from gpu_utils.traffic.lane_model import LineSectors, SectorCount, Sectors, sectors
from gpu_utils.traffic.lens import count, outputs
from gpu_utils.traffic.result import (
    EagerOp,
    LaunchTraffic,
    LineTraffic,
    OutOfBounds,
    TensorTraffic,
    Traffic,
)

__all__ = [
    "Dram",
    "EagerOp",
    "LaunchTraffic",
    "LineSectors",
    "LineTraffic",
    "NeedsData",
    "OutOfBounds",
    "SectorCount",
    "Sectors",
    "TensorDram",
    "TensorTraffic",
    "Traffic",
    "count",
    "dram",
    "outputs",
    "sectors",
]
