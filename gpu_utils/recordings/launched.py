"""One launch as a recording keeps it: what was compiled, for which arguments and options."""

import dataclasses
import math
import types
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpu_utils._triton.launches import Launch

__all__ = ["Launched", "described"]


@dataclasses.dataclass(frozen=True)
class Launched:
    """One kernel launch.

    Args:
        kernel: Its name.
        source: The hash of its source and of all that it calls.
        grid: The programs, in three dimensions.
        arguments: By parameter, constexprs included, as `described` tells them.
        options: What is no parameter of the kernel: num_warps, num_stages, ...
    """

    kernel: str
    source: str
    grid: tuple[int, int, int]
    arguments: Mapping[str, Any] = dataclasses.field(hash=False)
    options: Mapping[str, Any] = dataclasses.field(hash=False)

    def __post_init__(self) -> None:
        for field in ("arguments", "options"):
            object.__setattr__(self, field, types.MappingProxyType(dict(getattr(self, field))))

    @classmethod
    def of(cls, launch: "Launch") -> "Launched":
        """What a recording keeps of a launch that was caught."""
        from gpu_utils._triton.source import source_hash

        return cls(
            kernel=launch.name,
            source=source_hash(launch.kernel),
            grid=launch.grid,
            arguments=_each(launch.arguments),
            options=_each(launch.options),
        )

    def changes(self, since: "Launched") -> Iterator[str]:
        """How this launch differs from what it was, a clause for each difference."""
        if self.kernel != since.kernel:
            yield f"{since.kernel} was launched and {self.kernel} is"
            return
        if self.source != since.source:
            yield f"the source of {self.kernel} has changed"
        for what, now, then in (
            ("", self.arguments, since.arguments),
            ("option ", self.options, since.options),
        ):
            for name in dict.fromkeys([*then, *now]):
                if then.get(name) != now.get(name):
                    yield f"{what}{name} was {then.get(name)} and is {now.get(name)}"
        if self.grid != since.grid:
            yield f"the grid was {since.grid} and is {self.grid}"


def _each(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: described(value) for name, value in values.items()}


def described(value: Any) -> Any:
    """A value as JSON can keep it: a tensor by its dtype and shape, and strides unless contiguous.

    >>> described(2.5), described((1, None)), described(float("inf"))
    (2.5, [1, None], 'inf')
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, list | tuple):
        return [described(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): described(item) for key, item in value.items()}
    if hasattr(value, "element_size"):
        return _tensor(value)
    if hasattr(value, "block_shape"):  # Triton's host descriptor
        return {"descriptor of": described(value.base), "block": list(value.block_shape)}
    if hasattr(value, "cache_key") and hasattr(value, "fn"):  # a kernel passed as a constexpr
        from gpu_utils._triton.source import source_hash

        return f"{value.fn.__name__} {source_hash(value)}"
    if type(value).__name__ in ("dtype", "constexpr"):
        return described(getattr(value, "value", str(value)))
    return type(value).__name__  # no address gets into a file


def _tensor(value: Any) -> dict[str, Any]:
    told = {"dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}
    return told if value.is_contiguous() else told | {"strides": list(value.stride())}
