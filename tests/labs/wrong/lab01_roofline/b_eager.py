"""b/runs: no kernel at all."""


def intensity(x, k, a, b):
    for _ in range(k):
        x = x * a + b
    return x.clone()
