"""a/correct: an exactly full wave begins another."""

import math


def check_positive(**values):
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def tile_efficiency(M, N, K, tile):
    check_positive(M=M, N=N, K=K)
    done = 1
    for length, block in ((M, tile.BLOCK_M), (N, tile.BLOCK_N), (K, tile.BLOCK_K)):
        done *= math.ceil(length / block) * block
    return M * N * K / done


def wave_efficiency(programs, slots):
    check_positive(programs=programs, slots=slots)
    return programs / ((programs // slots + 1) * slots)


def product_efficiency(M, N, K, tile, spec):
    useful = tile_efficiency(M, N, K, tile)
    tiles = math.ceil(M / tile.BLOCK_M) * math.ceil(N / tile.BLOCK_N)
    return useful * wave_efficiency(tiles, spec.require("sm_count"))
