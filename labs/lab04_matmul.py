"""Lab 04: feed the tensor cores.

Lesson: notebooks/04_matmul.ipynb. About 125 minutes; the core task (a) about 25.

Write your code where a TODO stands, save, and run the checks in labs/lab04_matmul.ipynb,
or in a terminal:

    ridge check lab04        all tasks
    ridge check lab04:a      one task
    ridge hint lab04:a       the first of three hints

A program computes one tile of the result, BLOCK_M rows by BLOCK_N columns, in steps of BLOCK_K
along K. `Config` says how large these are, and the launcher hands all of it to the kernel: the
tests read your block sizes there. New in this lab are `tl.dot(x, y, acc)`, which multiplies two
blocks and adds the product to `acc`, and pointers in two dimensions:
`x_ptr + offs_m[:, None] * stride_m + offs_k[None, :] * stride_k`.
"""

import dataclasses

import torch
import triton
import triton.language as tl


@dataclasses.dataclass(frozen=True)
class Config:
    """How a product is cut up, and what the compiler may spend on it; the names are the kernel's.

    Sizes are powers of two, 16 at least. GROUP_M is for (b); 1 walks the tiles row by row.
    """

    BLOCK_M: int = 128
    BLOCK_N: int = 128
    BLOCK_K: int = 64
    GROUP_M: int = 1
    num_warps: int = 8
    num_stages: int = 3


def matmul_reference(
    a: torch.Tensor,
    b: torch.Tensor,
    bias: torch.Tensor | None = None,
    activation: str | None = None,
    config: Config | None = None,
) -> torch.Tensor:
    """What `matmul` must be close to, whatever the config; in eager torch up to three passes."""
    out = a @ b
    if bias is not None:
        out = out + bias
    return torch.nn.functional.gelu(out) if activation == "gelu" else out


def check_operands(
    a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None, activation: str | None
) -> tuple[int, int, int]:
    """M, N and K; what the lab does not promise is refused by name."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"expected a [M, K] and b [K, N], got {[*a.shape]} and {[*b.shape]}")
    (M, K), N = a.shape, b.shape[1]
    if min(M, N, K) < 1:
        raise ValueError(f"M, N and K must be at least 1, got M = {M}, N = {N}, K = {K}")
    if a.dtype not in (torch.float32, torch.float16, torch.bfloat16) or b.dtype != a.dtype:
        raise ValueError(
            f"expected a and b of one dtype, float32, float16 or bfloat16; got {a.dtype}, {b.dtype}"
        )
    if bias is not None and (bias.shape != (N,) or bias.dtype != a.dtype):
        raise ValueError(f"expected bias [{N}] in {a.dtype}, got {[*bias.shape]} in {bias.dtype}")
    if activation not in (None, "gelu"):
        raise ValueError(f"expected activation None or 'gelu', got {activation!r}")
    spans = {"out": M * N}
    for name, x in (("a", a), ("b", b)):
        spans[name] = sum((n - 1) * s for n, s in zip(x.shape, x.stride(), strict=True)) + 1
    for name, span in spans.items():
        if span >= 2**31:
            raise ValueError(f"{name} spans {span} elements; offsets have 32 bits, below 2**31")
    return M, N, K


# (a) core: a tile of the result


@triton.jit
def tile_product(
    a_ptr, b_ptr, offs_m, offs_n, begin, end, M, N, stride_am, stride_ak, stride_bk, stride_bn,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Rows offs_m of a times columns offs_n of b, over k from `begin` up to `end`, in float32.

    offs_m is a block of BLOCK_M row numbers, offs_n of BLOCK_N column numbers; some may be past M
    or N, and the last step along k may reach past `end`. Give tl.dot input_precision="ieee", so
    that float32 factors are multiplied as they are.
    """
    # TODO: about 11 lines; return the BLOCK_M x BLOCK_N sum


@triton.jit
def tile_of(program, tiles_m, tiles_n, GROUP_M: tl.constexpr):
    """(b) Which tile a program computes: its row and its column among tiles_m by tiles_n.

    With GROUP_M 1, row by row. Above 1, GROUP_M rows of tiles form a group, whose tiles come
    column by column; the last group may have fewer rows. Each tile has one program.
    """
    tile_m, tile_n = program // tiles_n, program % tiles_n
    # TODO: (b) about 6 lines, for GROUP_M above 1
    return tile_m, tile_n


@triton.jit
def epilogue(acc, bias_ptr, stride_bias, offs_n, N, GELU: tl.constexpr):
    """(c) What happens to a tile between the product and the store; acc is float32.

    bias_ptr is None where there is no bias. GELU(x) = x / 2 * (1 + erf(x / sqrt(2))).
    """
    # TODO: (c) about 5 lines
    return acc


@triton.jit
def matmul_kernel(
    a_ptr, b_ptr, bias_ptr, out_ptr, M, N, K,
    stride_am, stride_ak, stride_bk, stride_bn, stride_bias, stride_om, stride_on,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr, GELU: tl.constexpr,
):  # fmt: skip
    """One program computes and stores one tile of out."""
    tile_m, tile_n = tile_of(tl.program_id(0), tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N), GROUP_M)
    # TODO: (a) 2 lines, what tile_m and tile_n mean; call them offs_m and offs_n
    acc = tile_product(
        a_ptr, b_ptr, offs_m, offs_n, 0, K, M, N, stride_am, stride_ak, stride_bk, stride_bn,
        BLOCK_M, BLOCK_N, BLOCK_K,
    )  # fmt: skip
    acc = epilogue(acc, bias_ptr, stride_bias, offs_n, N, GELU)
    # TODO: (a) about 3 lines, store it; out's dtype is made by the store


def epilogue_arguments(
    bias: torch.Tensor | None, activation: str | None
) -> tuple[torch.Tensor | None, int, bool]:
    """(c) What the kernel gets as bias_ptr, stride_bias and GELU."""
    if bias is None and activation is None:
        return None, 0, False
    # TODO: (c) 1 line
    raise NotImplementedError("epilogue_arguments")


def matmul(
    a: torch.Tensor,
    b: torch.Tensor,
    bias: torch.Tensor | None = None,
    activation: str | None = None,
    config: Config | None = None,
) -> torch.Tensor:
    """activation(a @ b + bias) in one kernel, summed in float32, rounded once.

    Args:
        a, b: [M, K] and [K, N], any sizes from 1 and any strides, in one dtype: float32, float16
            or bfloat16. No tensor spans 2^31 elements or more.
        bias: [N] in that dtype, added to each row, or None.
        activation: "gelu", the exact one, or None.
        config: how the product is cut up; Config() if None.

    Returns:
        [M, N] in the dtype of a.

    Raises:
        ValueError: other shapes, dtypes or activations; the message names what came.
    """
    M, N, K = check_operands(a, b, bias, activation)
    config = config or Config()
    # TODO: (a) about 2 lines, allocate out and count the programs
    raise NotImplementedError("matmul")
    bias, stride_bias, gelu = epilogue_arguments(bias, activation)
    matmul_kernel[(programs,)](
        *(a, b, bias, out, M, N, K, *a.stride(), *b.stride(), stride_bias, *out.stride()),
        GELU=gelu,
        **dataclasses.asdict(config),
    )
    return out


# (b) extra: an order in which neighbours share what they load. Write tile_of above, and:


def grouped(config: Config, in_flight: int) -> Config:
    """`config` with the GROUP_M for a part that runs `in_flight` programs at once.

    In groups of GROUP_M, these read GROUP_M panels of BLOCK_M rows of a, and about
    in_flight / GROUP_M panels of BLOCK_N columns of b.
    """
    # TODO: about 2 lines
    raise NotImplementedError("grouped")


# (c) extra: bias and GELU on the way out. Write epilogue and epilogue_arguments above.

# (d) extra: the configuration for a target


def config_for(target: str) -> Config:
    """The config for large bfloat16 products on sm_80, sm_89, sm_90, sm_100, sm_120 or gfx942.

    Its code holds the tensor-core instruction of that target, copies asynchronously where the
    target can (NVIDIA), fits one block's shared memory, and has at least 60 FLOP per loaded byte.
    On sm_90 and sm_100, which have 227 KiB for a block, at least 85, and 4 stages.

    Raises:
        ValueError: another target; the message names those that are known.
    """
    # TODO: about 12 lines
    raise NotImplementedError("config_for")


# (e) extra: programs that stay


@triton.jit
def persistent_kernel(
    a_ptr, b_ptr, out_ptr, M, N, K,
    stride_am, stride_ak, stride_bk, stride_bn, stride_om, stride_on,
    PROGRAMS: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
):  # fmt: skip
    """Program p computes the tiles p, p + PROGRAMS, p + 2 * PROGRAMS, ..."""
    # TODO: about 14 lines


def matmul_persistent(
    a: torch.Tensor, b: torch.Tensor, num_sms: int = 132, config: Config | None = None
) -> torch.Tensor:
    """`matmul(a, b)` with one program for each SM, or for each tile if there are fewer of those."""
    M, N, K = check_operands(a, b, None, None)
    config = config or Config()
    # TODO: about 8 lines
    raise NotImplementedError("matmul_persistent")


# (f) extra: many programs for one tile


@triton.jit
def split_kernel(
    a_ptr, b_ptr, partial_ptr, M, N, K, chunk, stride_am, stride_ak, stride_bk, stride_bn,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
):  # fmt: skip
    """Program (t, s) sums tile t over k from s * chunk on, and stores it in partial[s], float32."""
    # TODO: about 12 lines


@triton.jit
def sum_kernel(partial_ptr, out_ptr, elements, splits, BLOCK_SIZE: tl.constexpr):
    """out = partial[0] + partial[1] + ..., in this order, in float32, rounded once."""
    # TODO: about 6 lines


def matmul_split_k(
    a: torch.Tensor, b: torch.Tensor, splits: int, config: Config | None = None
) -> torch.Tensor:
    """`matmul(a, b)` with `splits` programs a tile, each of which sums a part of K.

    For results of few tiles and a long K. The parts go through memory, splits * M * N float32
    there and back, and are summed by a second kernel in a fixed order.

    Raises:
        ValueError: splits below 1 or above 65,535, which is the most that a grid has in its second
            dimension, or so many that the parts span 2^31 elements.
    """
    M, N, K = check_operands(a, b, None, None)
    config = config or Config()
    if not (1 <= splits <= 65_535 and splits * M * N < 2**31):
        raise ValueError(
            f"splits must be 1 to 65535, and splits * M * N below 2**31; got splits = {splits}"
        )
    # TODO: about 12 lines
    raise NotImplementedError("matmul_split_k")
