"""a/correct: exact tiles over whole tiles, rounded up together and not along each side."""

import math


def check_positive(**values):
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def tile_efficiency(M, N, K, tile):
    check_positive(M=M, N=N, K=K)
    exact = M * N * K / (tile.BLOCK_M * tile.BLOCK_N * tile.BLOCK_K)
    return exact / math.ceil(exact)


def wave_efficiency(programs, slots):
    check_positive(programs=programs, slots=slots)
    return programs / (math.ceil(programs / slots) * slots)


def product_efficiency(M, N, K, tile, spec):
    useful = tile_efficiency(M, N, K, tile)
    tiles = math.ceil(M / tile.BLOCK_M) * math.ceil(N / tile.BLOCK_N)
    return useful * wave_efficiency(tiles, spec.require("sm_count"))
