"""a/correct: the arithmetic is left to gpu_utils."""

from gpu_utils import roofline
from gpu_utils.roofline import elementwise_cost as course_elementwise_cost

DTYPES = {4: "fp32", 2: "bf16", 1: "fp8", 0.5: "fp4"}


def checked(bytes_per_element):
    if bytes_per_element not in DTYPES:
        raise ValueError(f"bytes_per_element must be one of {list(DTYPES)}")
    return DTYPES[bytes_per_element]


def elementwise_cost(elements, inputs, flops_per_element, bytes_per_element):
    return course_elementwise_cost(
        elements,
        inputs=inputs,
        flops_per_element=flops_per_element,
        dtype=checked(bytes_per_element),
    )


def softmax_cost(rows, columns, bytes_per_element):
    return roofline.softmax_cost(rows, columns, checked(bytes_per_element))


def matmul_cost(m, n, k, bytes_per_element):
    return roofline.matmul_cost(m, n, k, checked(bytes_per_element))


def mlp_cost(batch, d_model, d_hidden, bytes_per_element):
    return roofline.mlp_cost(batch, d_model, d_hidden, checked(bytes_per_element))
