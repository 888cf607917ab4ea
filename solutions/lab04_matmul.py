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

    ### BEGIN SOLUTION
    Each step loads BLOCK_M * BLOCK_K numbers of a and BLOCK_K * BLOCK_N of b, and makes
    2 * BLOCK_M * BLOCK_N * BLOCK_K FLOP of them: the tile's size alone sets the FLOP per loaded
    byte, and K cancels. A masked lane needs other=0.0, since what it holds is multiplied and
    added like the rest; rows past M and columns past N could hold anything, as nothing of them is
    stored, but reading them would be reading somebody else's memory. The sum stays float32: in
    half precision it would stop growing as soon as a term is below half a unit in its last place.
    Without "ieee" a GPU rounds float32 factors to 10 bits, TF32; half-precision ones it leaves.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 11 lines; return the BLOCK_M x BLOCK_N sum
    offs_k = begin + tl.arange(0, BLOCK_K)
    a_ptrs = a_ptr + offs_m[:, None] * stride_am + offs_k[None, :] * stride_ak
    b_ptrs = b_ptr + offs_k[:, None] * stride_bk + offs_n[None, :] * stride_bn
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for k in range(0, end - begin, BLOCK_K):
        inside = offs_k < end - k  # (BLOCK_K,)
        a = tl.load(a_ptrs, mask=(offs_m[:, None] < M) & inside[None, :], other=0.0)
        b = tl.load(b_ptrs, mask=inside[:, None] & (offs_n[None, :] < N), other=0.0)
        acc = tl.dot(a, b, acc, input_precision="ieee")  # (BLOCK_M, BLOCK_N)
        a_ptrs += BLOCK_K * stride_ak
        b_ptrs += BLOCK_K * stride_bk
    return acc
    ### END SOLUTION


@triton.jit
def tile_of(program, tiles_m, tiles_n, GROUP_M: tl.constexpr):
    """(b) Which tile a program computes: its row and its column among tiles_m by tiles_n.

    With GROUP_M 1, row by row. Above 1, GROUP_M rows of tiles form a group, whose tiles come
    column by column; the last group may have fewer rows. Each tile has one program.

    ### BEGIN SOLUTION
    Programs that run at the same time have neighbouring numbers. Row by row, 16 of them share one
    panel of a and need 16 panels of b; in groups of 4 they need 4 of each, and the L2 serves the
    rest. The last group has tiles_m - first rows, and its columns are that much shorter: with
    GROUP_M there, programs would point past the last row, and some tiles would have none.
    ### END SOLUTION
    """
    tile_m, tile_n = program // tiles_n, program % tiles_n
    ### BEGIN SOLUTION: (b) about 6 lines, for GROUP_M above 1
    if GROUP_M > 1:
        first = program // (GROUP_M * tiles_n) * GROUP_M  # the group's first row of tiles
        rows = min(tiles_m - first, GROUP_M)
        inside = program % (GROUP_M * tiles_n)
        tile_m = first + inside % rows
        tile_n = inside // rows
    ### END SOLUTION
    return tile_m, tile_n


@triton.jit
def epilogue(acc, bias_ptr, stride_bias, offs_n, N, GELU: tl.constexpr):
    """(c) What happens to a tile between the product and the store; acc is float32.

    bias_ptr is None where there is no bias. GELU(x) = x / 2 * (1 + erf(x / sqrt(2))).

    ### BEGIN SOLUTION
    The tile is in registers, so bias and activation cost BLOCK_N loaded numbers and arithmetic,
    and no pass over the result. `bias_ptr is not None` is decided when the kernel is compiled.
    acc is float32 here, so nothing is rounded between the three steps; eager torch rounds to
    bfloat16 after each.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: (c) about 5 lines
    if bias_ptr is not None:
        bias = tl.load(bias_ptr + offs_n * stride_bias, mask=offs_n < N, other=0.0)  # (BLOCK_N,)
        acc += bias[None, :]
    if GELU:
        acc = 0.5 * acc * (1 + tl.erf(acc * 0.7071067811865476))
    ### END SOLUTION
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
    ### BEGIN SOLUTION: (a) 2 lines, what tile_m and tile_n mean; call them offs_m and offs_n
    offs_m = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    ### END SOLUTION
    acc = tile_product(
        a_ptr, b_ptr, offs_m, offs_n, 0, K, M, N, stride_am, stride_ak, stride_bk, stride_bn,
        BLOCK_M, BLOCK_N, BLOCK_K,
    )  # fmt: skip
    acc = epilogue(acc, bias_ptr, stride_bias, offs_n, N, GELU)
    ### BEGIN SOLUTION: (a) about 3 lines, store it; out's dtype is made by the store
    out_ptrs = out_ptr + offs_m[:, None] * stride_om + offs_n[None, :] * stride_on
    tl.store(out_ptrs, acc, mask=(offs_m[:, None] < M) & (offs_n[None, :] < N))
    ### END SOLUTION


def epilogue_arguments(
    bias: torch.Tensor | None, activation: str | None
) -> tuple[torch.Tensor | None, int, bool]:
    """(c) What the kernel gets as bias_ptr, stride_bias and GELU."""
    if bias is None and activation is None:
        return None, 0, False
    ### BEGIN SOLUTION: (c) 1 line
    return bias, 0 if bias is None else bias.stride(0), activation == "gelu"
    ### END SOLUTION


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

    ### BEGIN SOLUTION
    As many programs as tiles, each dimension rounded up. The config's fields have the names of
    the kernel's constants and of Triton's options, so `**dataclasses.asdict(config)` hands over
    all of them.
    ### END SOLUTION
    """
    M, N, K = check_operands(a, b, bias, activation)
    config = config or Config()
    ### BEGIN SOLUTION: (a) about 2 lines, allocate out and count the programs
    out = torch.empty((M, N), dtype=a.dtype, device=a.device)
    programs = triton.cdiv(M, config.BLOCK_M) * triton.cdiv(N, config.BLOCK_N)
    ### END SOLUTION
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

    ### BEGIN SOLUTION
    The sum of two numbers whose product is fixed is least where they are equal:
    GROUP_M * BLOCK_M = in_flight / GROUP_M * BLOCK_N, a square of results. It is flat around its
    least value, so being off by a factor of 2 costs a quarter.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 2 lines
    side = (in_flight * config.BLOCK_N / config.BLOCK_M) ** 0.5
    return dataclasses.replace(config, GROUP_M=max(1, round(side)))
    ### END SOLUTION


# (c) extra: bias and GELU on the way out. Write epilogue and epilogue_arguments above.

# (d) extra: the configuration for a target


def config_for(target: str) -> Config:
    """The config for large bfloat16 products on sm_80, sm_89, sm_90, sm_100, sm_120 or gfx942.

    Its code holds the tensor-core instruction of that target, copies asynchronously where the
    target can (NVIDIA), fits one block's shared memory, and has at least 60 FLOP per loaded byte.
    On sm_90 and sm_100, which have 227 KiB for a block, at least 85, and 4 stages.

    Raises:
        ValueError: another target; the message names those that are known.

    ### BEGIN SOLUTION
    A stage is (BLOCK_M + BLOCK_N) * BLOCK_K numbers: 32 KiB for 128 x 128 x 64 in 16 bits, 48 for
    128 x 256 x 64. wgmma and tcgen05 read their operands out of shared memory, so num_stages of
    them are there: 4 x 48 = 192 KiB of 227. mma.sync and MFMA read them out of registers, and one
    stage fewer is: 144 KiB, which an A100 has and the 99 KiB of sm_89 and sm_120 are not. An
    MI300X has 64 KiB; with 2 stages two blocks live on a compute unit, and one multiplies while
    the other loads.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 12 lines
    square = Config(GROUP_M=8)
    wide = Config(BLOCK_N=256, GROUP_M=8, num_stages=4)
    configs = {
        "sm_80": dataclasses.replace(wide, num_stages=3),
        "sm_89": square,
        "sm_90": wide,
        "sm_100": wide,
        "sm_120": square,
        "gfx942": dataclasses.replace(square, num_stages=2),
    }
    if target not in configs:
        raise ValueError(f"no config for {target!r}; known: {', '.join(configs)}")
    return configs[target]
    ### END SOLUTION


# (e) extra: programs that stay


@triton.jit
def persistent_kernel(
    a_ptr, b_ptr, out_ptr, M, N, K,
    stride_am, stride_ak, stride_bk, stride_bn, stride_om, stride_on,
    PROGRAMS: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
):  # fmt: skip
    """Program p computes the tiles p, p + PROGRAMS, p + 2 * PROGRAMS, ...

    ### BEGIN SOLUTION
    The traffic is that of (a), tile for tile. What is saved is the start and the end of a program
    at each tile: the grid is as large as the machine, and a compiler or a producer warp can load
    the next tile while this one is being stored.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 14 lines
    tiles_m, tiles_n = tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N)
    for tile in range(tl.program_id(0), tiles_m * tiles_n, PROGRAMS):
        tile_m, tile_n = tile_of(tile, tiles_m, tiles_n, GROUP_M)
        offs_m = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
        offs_n = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
        acc = tile_product(
            a_ptr, b_ptr, offs_m, offs_n, 0, K, M, N, stride_am, stride_ak, stride_bk, stride_bn,
            BLOCK_M, BLOCK_N, BLOCK_K,
        )  # fmt: skip
        out_ptrs = out_ptr + offs_m[:, None] * stride_om + offs_n[None, :] * stride_on
        tl.store(out_ptrs, acc, mask=(offs_m[:, None] < M) & (offs_n[None, :] < N))
    ### END SOLUTION


def matmul_persistent(
    a: torch.Tensor, b: torch.Tensor, num_sms: int = 132, config: Config | None = None
) -> torch.Tensor:
    """`matmul(a, b)` with one program for each SM, or for each tile if there are fewer of those.

    ### BEGIN SOLUTION
    num_sms is an argument, so that what is compiled and checked here is what an H100 would run.
    ### END SOLUTION
    """
    M, N, K = check_operands(a, b, None, None)
    config = config or Config()
    ### BEGIN SOLUTION: about 8 lines
    out = torch.empty((M, N), dtype=a.dtype, device=a.device)
    tiles = triton.cdiv(M, config.BLOCK_M) * triton.cdiv(N, config.BLOCK_N)
    programs = min(num_sms, tiles)
    persistent_kernel[(programs,)](
        *(a, b, out, M, N, K, *a.stride(), *b.stride(), *out.stride()),
        PROGRAMS=programs,
        **dataclasses.asdict(config),
    )
    return out
    ### END SOLUTION


# (f) extra: many programs for one tile


@triton.jit
def split_kernel(
    a_ptr, b_ptr, partial_ptr, M, N, K, chunk, stride_am, stride_ak, stride_bk, stride_bn,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
):  # fmt: skip
    """Program (t, s) sums tile t over k from s * chunk on, and stores it in partial[s], float32.

    ### BEGIN SOLUTION
    chunk is a multiple of BLOCK_K, so only the last part has a ragged end. A part that begins at
    K or later has nothing to add and stores zeros.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 12 lines
    tile_m, tile_n = tile_of(tl.program_id(0), tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N), GROUP_M)
    offs_m = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    begin = tl.program_id(1) * chunk
    acc = tile_product(
        a_ptr, b_ptr, offs_m, offs_n, begin, min(begin + chunk, K), M, N,
        stride_am, stride_ak, stride_bk, stride_bn, BLOCK_M, BLOCK_N, BLOCK_K,
    )  # fmt: skip
    offs = (tl.program_id(1) * M + offs_m[:, None]) * N + offs_n[None, :]
    tl.store(partial_ptr + offs, acc, mask=(offs_m[:, None] < M) & (offs_n[None, :] < N))
    ### END SOLUTION


@triton.jit
def sum_kernel(partial_ptr, out_ptr, elements, splits, BLOCK_SIZE: tl.constexpr):
    """out = partial[0] + partial[1] + ..., in this order, in float32, rounded once.

    ### BEGIN SOLUTION
    A fixed order gives the same bits in each run. With atomic additions the order is whichever
    program comes first, and float32 addition is not associative.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 6 lines
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < elements
    acc = tl.zeros((BLOCK_SIZE,), tl.float32)
    for split in range(splits):
        acc += tl.load(partial_ptr + split * elements + offs, mask=mask, other=0.0)
    tl.store(out_ptr + offs, acc, mask=mask)
    ### END SOLUTION


def matmul_split_k(
    a: torch.Tensor, b: torch.Tensor, splits: int, config: Config | None = None
) -> torch.Tensor:
    """`matmul(a, b)` with `splits` programs a tile, each of which sums a part of K.

    For results of few tiles and a long K. The parts go through memory, splits * M * N float32
    there and back, and are summed by a second kernel in a fixed order.

    Raises:
        ValueError: splits below 1 or above 65,535, which is the most that a grid has in its second
            dimension, or so many that the parts span 2^31 elements.

    ### BEGIN SOLUTION
    256 x 256 with K = 16,384 is 4 tiles of 128 x 128: 128 of an H100's 132 SMs would have nothing
    to do. In 32 parts it is 128 programs, and the parts cost 2 * 32 * 256 KiB = 16.8 MB on top of
    the operands' 16.8 MB, most of it in the L2.
    ### END SOLUTION
    """
    M, N, K = check_operands(a, b, None, None)
    config = config or Config()
    if not (1 <= splits <= 65_535 and splits * M * N < 2**31):
        raise ValueError(
            f"splits must be 1 to 65535, and splits * M * N below 2**31; got splits = {splits}"
        )
    ### BEGIN SOLUTION: about 12 lines
    out = torch.empty((M, N), dtype=a.dtype, device=a.device)
    partial = torch.empty((splits, M, N), dtype=torch.float32, device=a.device)
    tiles = triton.cdiv(M, config.BLOCK_M) * triton.cdiv(N, config.BLOCK_N)
    chunk = triton.cdiv(triton.cdiv(K, config.BLOCK_K), splits) * config.BLOCK_K
    split_kernel[(tiles, splits)](
        *(a, b, partial, M, N, K, chunk, *a.stride(), *b.stride()), **dataclasses.asdict(config)
    )
    sum_kernel[(triton.cdiv(M * N, 1024),)](partial, out, M * N, splits, BLOCK_SIZE=1024)
    return out
    ### END SOLUTION
