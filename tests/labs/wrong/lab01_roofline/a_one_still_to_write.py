"""a/runs: mlp_cost is not written yet, the other three are."""

from gpu_utils.roofline import OpCost


def check_positive(**values):
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}")


def elementwise_cost(elements, inputs, flops_per_element, bytes_per_element):
    check_positive(elements=elements, bytes_per_element=bytes_per_element)
    return OpCost(flops_per_element * elements, (inputs + 1) * elements * bytes_per_element)


def softmax_cost(rows, columns, bytes_per_element):
    check_positive(rows=rows, columns=columns, bytes_per_element=bytes_per_element)
    return OpCost(5 * rows * columns, 2 * rows * columns * bytes_per_element)


def matmul_cost(m, n, k, bytes_per_element):
    check_positive(m=m, n=n, k=k, bytes_per_element=bytes_per_element)
    return OpCost(2 * m * n * k, (m * k + k * n + m * n) * bytes_per_element)


def mlp_cost(batch, d_model, d_hidden, bytes_per_element):
    raise NotImplementedError("mlp_cost")
