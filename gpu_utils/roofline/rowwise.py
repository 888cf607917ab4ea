"""Operations without matrix products: element by element, or row by row."""

from gpu_utils.roofline.cost import OpCost, bytes_per_element, check_sizes

__all__ = [
    "add_rmsnorm_cost",
    "axpby_cost",
    "copy_cost",
    "elementwise_cost",
    "rmsnorm_cost",
    "softmax_cost",
]


def elementwise_cost(
    elements: int,
    *,
    inputs: int = 1,
    outputs: int = 1,
    flops_per_element: float = 1,
    dtype: str = "fp32",
) -> OpCost:
    """An operation that reads each input once and writes each output once, element by element.

    flops = elements * flops_per_element
    bytes = elements * (inputs + outputs) * bytes per element

    A sum of two vectors of 1000 float32: 1000 additions, 3 * 4 bytes an element.

    >>> elementwise_cost(1000, inputs=2)
    OpCost(flops=1000, bytes=12000)
    """
    check_sizes(elements=elements)
    moved = elements * (inputs + outputs) * bytes_per_element(dtype)
    return OpCost(elements * flops_per_element, moved)


def copy_cost(elements: int, dtype: str = "fp32") -> OpCost:
    """A copy: no FLOPs, one read and one write.

    bytes = 2 * elements * bytes per element

    >>> copy_cost(1000)
    OpCost(flops=0, bytes=8000)
    """
    return elementwise_cost(elements, flops_per_element=0, dtype=dtype)


def axpby_cost(elements: int, dtype: str = "fp32") -> OpCost:
    """a*x + b*y with numbers a and b: two products and a sum; x and y read, the result written.

    flops = 3 * elements
    bytes = 3 * elements * bytes per element

    In float32 that is 12 bytes for 3 FLOPs, whatever the length:

    >>> axpby_cost(1000), axpby_cost(1000).intensity
    (OpCost(flops=3000, bytes=12000), 0.25)
    """
    return elementwise_cost(elements, inputs=2, flops_per_element=3, dtype=dtype)


def softmax_cost(rows: int, columns: int, dtype: str = "fp32") -> OpCost:
    """A softmax over each row, read once and written once.

    Five FLOPs an element: compare for the maximum, subtract it, exp (counted as one), add to the
    sum, divide by it.

    flops = 5 * rows * columns
    bytes = 2 * rows * columns * bytes per element

    >>> softmax_cost(2, 1000), softmax_cost(2, 1000).intensity
    (OpCost(flops=10000, bytes=16000), 0.625)
    """
    check_sizes(rows=rows, columns=columns)
    return elementwise_cost(rows * columns, flops_per_element=5, dtype=dtype)


def rmsnorm_cost(rows: int, columns: int, dtype: str = "bf16") -> OpCost:
    """x / sqrt(mean(x^2) + eps) * weight over each row, read once and written once.

    Four FLOPs an element: square, add to the sum, two products. The mean, eps and the root are
    three for a row and left out.

    flops = 4 * rows * columns
    bytes = (2 * rows * columns + columns) * bytes per element

    >>> rmsnorm_cost(2, 1000)  # (4000 + 1000) elements of two bytes
    OpCost(flops=8000, bytes=10000)
    """
    check_sizes(rows=rows, columns=columns)
    weight = columns * bytes_per_element(dtype)
    return elementwise_cost(rows * columns, flops_per_element=4, dtype=dtype) + OpCost(0, weight)


def add_rmsnorm_cost(rows: int, columns: int, dtype: str = "bf16") -> OpCost:
    """x + residual, then its RMSNorm; both are written, as a transformer needs both.

    flops = 5 * rows * columns
    bytes = (4 * rows * columns + columns) * bytes per element

    Apart, the sum is written and read again: a quarter more for many rows.

    >>> fused = add_rmsnorm_cost(2, 1000)
    >>> fused
    OpCost(flops=10000, bytes=18000)
    >>> apart = elementwise_cost(2000, inputs=2, dtype="bf16") + rmsnorm_cost(2, 1000)
    >>> apart.flops == fused.flops, apart.bytes
    (True, 22000)
    """
    check_sizes(rows=rows, columns=columns)
    weight = columns * bytes_per_element(dtype)
    both = elementwise_cost(rows * columns, inputs=2, outputs=2, flops_per_element=5, dtype=dtype)
    return both + OpCost(0, weight)
