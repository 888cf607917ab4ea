"""a/runs: torch does it."""


def check_layout(w, *vectors):
    if w.dim() != 2 or w.stride(1) != 1:
        raise ValueError("w must be [M, K] with neighbours in each row")
    for vector in vectors:
        if vector.dim() != 1 or vector.numel() not in w.shape:
            raise ValueError("a vector must have one number for each column or row")


def row_sum(w):
    check_layout(w)
    return w.float().sum(1)
