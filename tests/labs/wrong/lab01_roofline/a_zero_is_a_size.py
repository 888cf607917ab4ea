"""a/safe: only sizes below 0 are refused."""

from gpu_utils.roofline import OpCost


def check_positive(**values):
    for name, value in values.items():
        if value < 0:
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
    check_positive(batch=batch, d_model=d_model, d_hidden=d_hidden)
    check_positive(bytes_per_element=bytes_per_element)
    flops = 4 * batch * d_model * d_hidden + batch * d_hidden
    moved = 2 * d_model * d_hidden + 2 * batch * d_model
    return OpCost(flops, moved * bytes_per_element)
