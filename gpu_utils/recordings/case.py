"""What is measured on a GPU: a launcher at production size, and whom it is compared with."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Case"]


@dataclasses.dataclass(frozen=True)
class Case:
    """One call that is measured. A lab's tests list theirs in `gpu_cases(lab)`.

    Args:
        function: The launcher, of the lab's solution.
        arguments: Makes its arguments on a device: "cuda" to measure, "meta" to see what would be
            launched.
        reference: The truth, called with the same arguments; it is also the peer "torch".
        peers: More to compare with, by name, each called with the same arguments.
        loads, stores: Argument -> how many times its bytes are asked for, as `rungs.lean` takes
            them; the result is "out", or "out[0]" and so on. Empty where caches make DRAM
            traffic something else.
        flops: What the operation calculates; None if that is not told.
        dtype: The peak that bounds the FLOP, "fp32" for the plain cores.
    """

    function: Callable[..., Any]
    arguments: Callable[[str], tuple]
    reference: Callable[..., Any]
    peers: Mapping[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
    loads: Mapping[str, float] = dataclasses.field(default_factory=dict)
    stores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    flops: float | None = None
    dtype: str = "fp32"

    @property
    def name(self) -> str:
        """The launcher's name."""
        return self.function.__name__

    def named(self, arguments: tuple) -> dict[str, Any]:
        """Parameter -> argument."""
        return dict(inspect.signature(self.function).bind(*arguments).arguments)

    def requested_bytes(self, arguments: tuple, result: Any) -> tuple[float, float] | None:
        """Bytes that are loaded and stored at this size, or None where the case does not say.

        Raises:
            ValueError: `loads` or `stores` names no tensor of this call.
        """
        if not self.loads and not self.stores:
            return None
        from gpu_utils import traffic

        tensors = {**self.named(arguments), **traffic.outputs(result)}
        strange = [name for name in {**self.loads, **self.stores}
                   if not hasattr(tensors.get(name), "nbytes")]  # fmt: skip
        if strange:
            raise ValueError(f"{self.name} has no tensor {strange[0]}; it has {', '.join(tensors)}")
        loaded, stored = (
            sum(times * tensors[name].nbytes for name, times in table.items())
            for table in (self.loads, self.stores)
        )
        return loaded, stored
