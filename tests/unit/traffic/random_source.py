"""The source text of a drawn kernel and of its launcher: all that it takes to run it by hand."""

from tests.unit.traffic.random_kernels import Access, Case, Tensor
from tests.unit.traffic.random_operations import OPERATIONS, TRITON, Expression

_HEAD = """import triton
import triton.language as tl


@triton.jit
def larger(a, b):
    return tl.where(a > b, a, b)


@triton.jit
def kernel({parameters}):
    ct: tl.constexpr = {compute}
"""
_NEUTRAL = {"sum": "0", "total": "0", "scatter": "0", "max": "-100000", "peak": "-100000"}


def _offset(case: Case, tensor: Tensor, row: str, column: str) -> str:
    if len(tensor.shape) == 1:
        return f"{tensor.name}_ptr + ({column}) * {tensor.name}_sn"
    return f"{tensor.name}_ptr + ({row}) * {tensor.name}_sm + ({column}) * {tensor.name}_sn"


class _Text:
    """The lines of one kernel; `m` and `n` are its row and column, shaped to broadcast."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.m, self.n = ("m[:, None]", "n[None, :]") if case.dims == 2 else ("0", "n")
        self.lines: list[str] = []
        self.indent = "    "

    def add(self, *lines: str) -> None:
        self.lines += [self.indent + line for line in lines]

    def rows(self) -> None:
        if self.case.dims == 2:
            self.add("m = m0 + tl.arange(0, BM)", "row_mask = m < M")

    def columns(self) -> None:
        inside = "(m[:, None] < M) & (n[None, :] < N)" if self.case.dims == 2 else "n < N"
        self.add("n = n0 + tl.arange(0, BN)", f"mask = {inside}")

    def product(self, number: int, access: Access) -> None:
        a, b, depth = access.tensor.name, access.right.name, access.tensor.shape[1]
        floating = access.tensor.dtype.is_floating_point
        kind, zero = ("tl.float32", "0.0") if floating else ("tl.int32", "0")
        self.add(
            f"v{number} = tl.zeros([BM, BN], dtype={kind})",
            f"for k0 in range(0, {depth}, 32):",
            "    k = k0 + tl.arange(0, 32)",
            f"    a_ptrs = {a}_ptr + m[:, None] * {a}_sm + k[None, :] * {a}_sn",
            f"    b_ptrs = {b}_ptr + k[:, None] * {b}_sm + n[None, :] * {b}_sn",
            f"    a_mask = row_mask[:, None] & (k[None, :] < {depth})",
            f"    b_mask = (k[:, None] < {depth}) & (n[None, :] < N)",
            f"    a = tl.load(a_ptrs, mask=a_mask, other={zero})",
            f"    b = tl.load(b_ptrs, mask=b_mask, other={zero})",
            f"    v{number} = tl.dot(a, b, v{number}, out_dtype={kind})",
            f"v{number} = v{number}.to(ct)",
        )

    def load(self, number: int, access: Access) -> None:
        if access.kind == "product":
            return self.product(number, access)
        tensor, variable = access.tensor, f"v{number}"
        other = "" if access.other is None else f", other={access.other}"
        if access.kind == "scalar":
            loaded = f"tl.load({tensor.name}_ptr)"
        elif access.kind == "row":
            loaded = f"tl.load({tensor.name}_ptr + m * {tensor.name}_sn, mask=row_mask)[:, None]"
        elif access.kind == "col":
            loaded = f"tl.load({tensor.name}_ptr + n * {tensor.name}_sn, mask=n < N)[None, :]"
        else:
            column, mask = self.n, "mask"
            if access.index is not None:
                name = access.index.name
                self.add(f"i{number} = tl.load({name}_ptr + n * {name}_sn, mask=n < N, other=0)")
                column = f"i{number}[None, :]" if self.case.dims == 2 else f"i{number}"
            if access.kind == "shift":
                column = f"{self.n} + {access.shift}"
                mask = f"mask & ({column} >= 0) & ({column} < N)"
            if access.guarded:
                mask += f" & ({self.n} % 3 != 1)"
            loaded = f"tl.load({_offset(self.case, tensor, self.m, column)}, mask={mask}{other})"
        return self.add(f"{variable} = {loaded}.to(ct)")

    def expression(self, node: Expression) -> str:
        if node[0] == "leaf":
            return f"v{node[1]}"
        if node[0] == "const":
            return str(node[1] / 8 if self.case.compute.is_floating_point else node[1])
        return OPERATIONS[node[0]][0].format(*map(self.expression, node[1:]))

    def tile(self) -> None:
        """Load what changes from tile to tile, compute, and sink the result."""
        self.columns()
        for number, access in enumerate(self.case.accesses):
            if not access.hoisted:
                self.load(number, access)
        shape = "[BM, BN]" if self.case.dims == 2 else "[BN]"
        value = self.expression(self.case.expression)
        self.add(f"v = tl.broadcast_to(({value}).to(ct), {shape})")
        if self.case.zero_has_no_sign:
            self.add("v = v + 0.0")
        self.sink()

    def sink(self) -> None:
        case, axis = self.case, self.case.dims - 1
        if case.sink in _NEUTRAL:
            self.add(f"v = tl.where(mask, v, {_NEUTRAL[case.sink]})")
        if case.sink == "min":
            self.add("v = tl.where(mask, v, 100000)")
        if case.sink == "sum":
            self.add(f"acc += tl.sum(v, {axis})")
        elif case.sink in ("max", "min"):
            self.add(f"acc = tl.{case.sink}imum(acc, tl.{case.sink}(v, {axis}))")
        elif case.sink == "total":
            self.add("tl.atomic_add(out_ptr, tl.sum(v))")
        elif case.sink == "peak":
            self.add("tl.atomic_max(out_ptr, tl.max(v))")
        elif case.sink == "scatter":
            spread = f" + {self.m} * 0" if case.dims == 2 else ""
            bucket = "bucket[None, :]" if case.dims == 2 else "bucket"
            self.add(
                "bucket = tl.load(bucket_ptr + n * bucket_sn, mask=n < N, other=0)",
                f"tl.atomic_add(out_ptr + {bucket}{spread}, v, mask=mask)",
            )
        else:
            self.store(axis)

    def store(self, axis: int) -> None:
        case, row, column, mask = self.case, self.m, self.n, "mask"
        if case.sink == "cumsum":
            self.add(f"v = tl.cumsum(v, {axis})")
        if case.sink == "sort":
            self.add("v = tl.where(mask, v, 100000)", f"v = tl.sort(v, {axis})")
        if case.guarded:
            mask += f" & ({self.n} % 3 != 2)"
        if case.sink == "transposed":
            self.add("v = tl.trans(v)")
            row, column, mask = "n[:, None]", "m[None, :]", f"tl.trans({mask})"
        self.add(f"tl.store({_offset(case, case.out, row, column)}, v.to({TRITON[case.out.dtype]}),"
                 f" mask={mask})")  # fmt: skip


def _walk(text: _Text) -> None:
    """The programs' way through the tiles, with the work on a tile inside."""
    case, (down, across) = text.case, text.case.tiles
    walk = case.walk
    if walk == "grid":
        text.add("m0, n0 = tl.program_id(0) * BM, tl.program_id(1) * BN")
        text.rows()
        text.tile()
    elif walk == "rows":
        text.add("m0 = tl.program_id(0) * BM")
        text.rows()
        for number, access in enumerate(case.accesses):
            if access.hoisted:
                text.load(number, access)
        reduces = case.sink in ("sum", "max", "min")
        if reduces:
            start = {"sum": "0", "max": "-100000", "min": "100000"}[case.sink]
            shape = "[BM]" if case.dims == 2 else "[1]"
            text.add(f"acc = tl.full({shape}, {start}, ct)")
        text.add("for n0 in range(0, N, BN):")
        text.indent *= 2
        text.tile()
        text.indent = "    "
        if reduces:
            where = "m, acc, mask=row_mask" if case.dims == 2 else "tl.arange(0, 1), acc"
            text.add(f"tl.store(out_ptr + {where})")
    else:
        tiles = f"tl.program_id(0), {down * across}, tl.num_programs(0)"
        text.add(
            f"for tile in range({tiles}):" if walk == "persistent" else "tile = tl.program_id(0)"
        )
        text.indent *= 2 if walk == "persistent" else 1
        text.add(f"m0, n0 = tile // {across} * BM, tile % {across} * BN")
        text.rows()
        text.tile()


def grid(case: Case) -> tuple[int, ...]:
    """The grid of a walk."""
    down, across = case.tiles
    return {"grid": (down, across), "rows": (down,), "flat": (down * across,)}.get(
        case.walk, (case.programs,)
    )


def source(case: Case) -> str:
    """A module: the kernel, and `launch`, which takes the tensors of the case in order."""
    names = [tensor.name for tensor in case.tensors]
    strides = [
        (tensor, position)
        for tensor in case.tensors
        for position in (("sm", "sn") if len(tensor.shape) == 2 else ("sn",))
    ]
    scalars = [f"{tensor.name}_{position}" for tensor, position in strides]
    pointers = [f"{name}_ptr" for name in names]
    parameters = [*pointers, "M", "N", *scalars, "BM: tl.constexpr", "BN: tl.constexpr"]
    text = _Text(case)
    _walk(text)
    given = [
        f"{tensor.name}.stride({-1 if position == 'sn' else -2})" for tensor, position in strides
    ]
    (M, N), (BM, BN) = case.size, case.block
    call = ", ".join([*names, str(M), str(N), *given, f"BM={BM}", f"BN={BN}"])
    return (
        _HEAD.format(parameters=", ".join(parameters), compute=TRITON[case.compute])
        + "\n".join(text.lines)
        + f"\n\n\ndef launch({', '.join(names)}):\n    kernel[{grid(case)}]({call})\n"
    )
