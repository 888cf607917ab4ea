"""Matrix products and the layers made of them."""

from gpu_utils.roofline.cost import OpCost, bytes_per_element, check_sizes

__all__ = ["experts_touched", "matmul_cost", "mlp_cost", "moe_cost"]


def matmul_cost(m: int, n: int, k: int, dtype: str = "bf16") -> OpCost:
    """[M, K] @ [K, N]: a product and a sum for each of M*N*K, each matrix moved once.

    flops = 2 * M * N * K
    bytes = (M*K + K*N + M*N) * bytes per element

    A square one of side n has n/3 FLOP/byte in 16 bits; a vector times a matrix has about 1.

    >>> matmul_cost(3000, 3000, 3000).intensity
    1000.0
    >>> round(matmul_cost(1, 4096, 4096).intensity, 3)
    1.0
    """
    check_sizes(m=m, n=n, k=k)
    return OpCost(2 * m * n * k, (m * k + k * n + m * n) * bytes_per_element(dtype))


def mlp_cost(
    batch: int, d_model: int, d_hidden: int, dtype: str = "bf16", *, gated: bool = False
) -> OpCost:
    """Two layers, [B, D] @ [D, H], an activation, [B, H] @ [H, D], with the hidden layer kept.

    The hidden layer is counted as never leaving the chip, and the activation as one FLOP. A gated
    one (SwiGLU) has a third matrix, [D, H], whose product with the batch scales the hidden layer.

    flops = 4 * B * D * H + B * H, gated 6 * B * D * H + 2 * B * H
    bytes = (2 * D * H + 2 * B * D) * bytes per element, gated (3 * D * H + 2 * B * D)

    For few rows the weights are nearly all that moves, so the intensity is about B in 16 bits
    (at 256 it is 256 * H / (H + 256)):

    >>> mlp_cost(1, 10, 40)  # 4*400 + 40 FLOPs; (800 + 20) * 2 bytes
    OpCost(flops=1640, bytes=1640)
    >>> [round(mlp_cost(b, 4096, 16384).intensity) for b in (1, 16, 256)]
    [1, 16, 252]
    """
    check_sizes(batch=batch, d_model=d_model, d_hidden=d_hidden)
    weights = _matrices(gated) * d_model * d_hidden
    moved = (weights + 2 * batch * d_model) * bytes_per_element(dtype)
    return OpCost(batch * _hidden_flops(d_model, d_hidden, gated), moved)


def experts_touched(tokens: int, experts: int, active: int) -> float:
    """How many experts some token of a batch needs, if each picks `active` of them at random.

    expected = E * (1 - (1 - A / E)^T)

    Routers are trained towards an even load, and a real batch is more alike than a random one, so
    it touches fewer: A at least.

    >>> experts_touched(1, 8, 2), experts_touched(2, 8, 2)  # 8 * (1 - 0.75^2)
    (2.0, 3.5)
    >>> round(experts_touched(64, 256, 8), 1)
    222.4
    """
    check_sizes(tokens=tokens, experts=experts, active=active)
    if active > experts:
        raise ValueError(f"active must be at most experts, got {active} of {experts}")
    return experts * (1 - (1 - active / experts) ** tokens)


def moe_cost(
    tokens: int,
    d_model: int,
    d_hidden: int,
    dtype: str = "bf16",
    *,
    experts: int,
    active: int,
    touched: float | None = None,
    gated: bool = True,
) -> OpCost:
    """A mixture of experts: a router, and for each token the MLPs of `active` experts, weighted.

    Each token is calculated `active` times, and each expert that any token needs is read once.
    The router's softmax and choice are left out.

    flops = 2 * T * D * E + T * A * (MLP of one row + 2 * D)
    bytes = (D * E + touched * matrices * D * H + 2 * T * D) * bytes per element

    Args:
        tokens: T, the tokens of a batch.
        d_model: D.
        d_hidden: H, of one expert.
        dtype: As stored.
        experts: E.
        active: A, the experts of a token.
        touched: How many experts are read; `experts_touched` if None, which is an expectation.
        gated: Three matrices an expert instead of two.

    A batch helps a dense layer, whose bytes stay; here they grow nearly as the FLOPs do, until all
    experts are touched:

    >>> one, eight = (moe_cost(t, 4096, 1024, experts=64, active=4) for t in (1, 8))
    >>> round(eight.flops / one.flops, 1), round(eight.bytes / one.bytes, 1)
    (8.0, 6.4)
    """
    check_sizes(tokens=tokens, d_model=d_model, d_hidden=d_hidden)
    if touched is None:
        touched = experts_touched(tokens, experts, active)
    if not active <= touched <= min(experts, tokens * active):
        raise ValueError(
            f"touched must be from {active} (active) to {min(experts, tokens * active)} (at most "
            f"tokens * active of {experts} experts), got {touched}"
        )
    row = _hidden_flops(d_model, d_hidden, gated) + 2 * d_model
    flops = 2 * tokens * d_model * experts + tokens * active * row
    weights = d_model * experts + touched * _matrices(gated) * d_model * d_hidden
    return OpCost(flops, (weights + 2 * tokens * d_model) * bytes_per_element(dtype))


def _matrices(gated: bool) -> int:
    return 3 if gated else 2


def _hidden_flops(d_model: int, d_hidden: int, gated: bool) -> int:
    """The FLOPs of one row: the products, the activation and, if gated, the scaling."""
    matrices = _matrices(gated)
    return 2 * matrices * d_model * d_hidden + (matrices - 1) * d_hidden
