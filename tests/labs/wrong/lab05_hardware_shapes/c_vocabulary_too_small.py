"""c/correct: 50,176 is 392 tiles of 128, and 81 tokens have no room."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Shape:
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int


def products(shape):
    attended = shape.heads * shape.head_dim
    return [
        (shape.layers, attended + 2 * shape.kv_heads * shape.head_dim, shape.hidden),
        (shape.layers, shape.hidden, attended),
        (shape.layers, 2 * shape.ffn, shape.hidden),
        (shape.layers, shape.hidden, shape.ffn),
        (1, shape.vocabulary, shape.hidden),
    ]


def product_efficiency(M, N, K, tile, spec):
    if M < 1:
        raise ValueError(f"M must be at least 1, got {M}")
    down, across = math.ceil(M / tile.BLOCK_M), math.ceil(N / tile.BLOCK_N)
    waves = math.ceil(down * across / spec.require("sm_count"))
    steps = math.ceil(K / tile.BLOCK_K)
    done = waves * spec.sm_count * tile.BLOCK_M * tile.BLOCK_N * steps * tile.BLOCK_K
    return M * N * K / done


def parameters(shape):
    stored = sum(times * N * K for times, N, K in products(shape))
    return stored + shape.vocabulary * shape.hidden


def model_efficiency(shape, tokens, tile, spec):
    useful = time = 0.0
    for times, N, K in products(shape):
        work = times * tokens * N * K
        useful += work
        time += work / product_efficiency(tokens, N, K, tile, spec)
    return useful / time


def shape_for(part):
    shapes = {
        "h100": Shape(26, 4096, 32, 8, 128, 16896, 50176),
        "b200": Shape(23, 4608, 36, 36, 128, 14208, 50304),
        "mi300x": Shape(28, 4864, 38, 38, 128, 9728, 50304),
    }
    if part not in shapes:
        raise ValueError(f"no shape for {part!r}; known: {', '.join(shapes)}")
    return shapes[part]
