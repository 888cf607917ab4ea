"""c/runs: torch does it."""


def check_layout(w, *vectors):
    if w.dim() != 2 or w.stride(1) != 1:
        raise ValueError("w must be [M, K] with neighbours in each row")
    for vector in vectors:
        if vector.dim() != 1 or vector.numel() not in w.shape:
            raise ValueError("a vector must have one number for each column or row")


def gemv_w8a16(w_int8, scale, x):
    check_layout(w_int8, scale, x)
    return ((w_int8.float() @ x.float()) * scale).to(x.dtype)
