"""What a drawn kernel must compute and move, from its description alone: never by running it."""

import dataclasses
from collections.abc import Iterator

import torch

from tests.unit.traffic.random_kernels import Access, Case, Tensor
from tests.unit.traffic.random_operations import OPERATIONS, Expression

Values = dict[str, torch.Tensor]


def _leaf(case: Case, access: Access, values: Values, dtype: torch.dtype) -> torch.Tensor:
    """What one load gives, spread over the whole M x N space or ready to be."""
    M, N = case.size
    if access.right is not None:  # exact in float64; the sum starts at 0.0, so it is never -0.0
        a, b = values[access.tensor.name].double(), values[access.right.name].double()
        return (a @ b + 0.0).to(dtype)
    x = values[access.tensor.name].to(dtype)
    if access.kind == "scalar":
        return x.reshape(1, 1)
    if access.kind == "row":
        return x.reshape(M, 1)
    if access.kind == "col":
        return x.reshape(1, N)
    x = x.reshape(M, -1)
    column = torch.arange(N)
    there = (column % 3 != 1) if access.guarded else torch.ones(N, dtype=torch.bool)
    if access.index is not None:
        column = values[access.index.name].long()
    if access.kind == "shift":
        column = column + access.shift
        there &= (column >= 0) & (column < N)
    other = torch.tensor(access.other or 0, dtype=access.tensor.dtype).to(dtype)
    return torch.where(there, x[:, column.clamp(0, x.shape[1] - 1)], other)


def _evaluate(
    case: Case, node: Expression, leaves: list[torch.Tensor], dtype: torch.dtype
) -> torch.Tensor:
    if node[0] == "leaf":
        return leaves[node[1]]
    if node[0] == "const":
        return torch.tensor(node[1] / 8 if dtype.is_floating_point else node[1], dtype=dtype)
    return OPERATIONS[node[0]][1](*(_evaluate(case, n, leaves, dtype) for n in node[1:]))


def result(case: Case, values: Values, dtype: torch.dtype | None = None) -> torch.Tensor:
    """`out` as the kernel must leave it; in float64 throughout if that is asked for."""
    dtype = dtype or case.compute
    kept = torch.float64 if dtype is torch.float64 else case.out.dtype
    leaves = [_leaf(case, access, values, dtype) for access in case.accesses]
    v = _evaluate(case, case.expression, leaves, dtype).expand(case.size)
    v = v + 0.0 if case.zero_has_no_sign else v
    out = values["out"].to(kept).clone()
    if case.sink == "total":
        return out + v.sum(dtype=kept)
    if case.sink == "peak":
        return torch.maximum(out, v.max())
    if case.sink == "scatter":
        buckets = values["bucket"].long().expand(case.size)
        return out.index_put((buckets,), v.to(kept), accumulate=True)
    if case.sink == "sum":
        return v.sum(1, dtype=kept)
    if case.sink in ("max", "min"):
        return getattr(v, f"a{case.sink}")(1)
    if case.sink == "cumsum":
        v = v.cumsum(1, dtype=dtype)
    if case.sink == "sort":
        v = v.sort(1).values
    v, stored = v.to(kept), torch.arange(case.size[1]) % 3 != 2
    before = out.t() if case.sink == "transposed" else out.reshape(case.size)
    v = torch.where(stored, v, before) if case.guarded else v
    return (v.t() if case.sink == "transposed" else v).reshape(out.shape)


def _programs(case: Case) -> Iterator[list[tuple[range, range]]]:
    """For each program, the rows and columns of each of its tiles."""
    (M, N), (BM, BN), (down, across) = case.size, case.block, case.tiles
    tiles = [
        (range(i * BM, min(M, i * BM + BM)), range(j * BN, min(N, j * BN + BN)))
        for i in range(down)
        for j in range(across)
    ]
    if case.walk in ("grid", "flat"):
        yield from ([tile] for tile in tiles)
    elif case.walk == "rows":
        yield from (tiles[i * across : (i + 1) * across] for i in range(down))
    else:
        yield from (tiles[p :: case.programs] for p in range(case.programs))


@dataclasses.dataclass
class Moved:
    """The traffic of one tensor: bytes asked for, and which elements were touched."""

    itemsize: int
    loaded: torch.Tensor
    stored: torch.Tensor
    load_bytes: int = 0
    store_bytes: int = 0

    @classmethod
    def none(cls, tensor: Tensor) -> "Moved":
        nothing = torch.zeros(tensor.shape, dtype=torch.bool)
        return cls(tensor.dtype.itemsize, nothing, nothing.clone())

    def load(self, *index: object) -> None:
        self.load_bytes += self.loaded[index].numel() * self.itemsize
        self.loaded[index] = True

    def store(self, *index: object) -> None:
        self.store_bytes += self.stored[index].numel() * self.itemsize
        self.stored[index] = True

    @property
    def figures(self) -> tuple[int, int, int, int]:
        """Bytes loaded, bytes stored, and what of either is distinct."""
        unique = int(self.loaded.sum()) * self.itemsize, int(self.stored.sum()) * self.itemsize
        return self.load_bytes, self.store_bytes, *unique


def _load(case: Case, access: Access, table: dict[str, Moved], tile: tuple[range, range],
          values: Values) -> None:  # fmt: skip
    rows, columns = torch.tensor(tile[0]), torch.tensor(tile[1])
    moved = table[access.tensor.name]
    if access.kind == "scalar":
        return moved.load(torch.tensor([0]))
    if access.kind in ("row", "col"):
        return moved.load(rows if access.kind == "row" else columns)
    if access.right is not None:
        depth = torch.arange(access.right.shape[0])
        table[access.right.name].load(depth[:, None], columns)
        return moved.load(rows[:, None], depth)
    if access.index is not None:
        table[access.index.name].load(columns)
    if access.guarded:
        columns = columns[columns % 3 != 1]
    if access.kind == "shift":
        columns = columns + access.shift
        columns = columns[(columns >= 0) & (columns < case.size[1])]
    if access.index is not None:
        columns = values[access.index.name].long()[columns]
    return moved.load(*((rows[:, None], columns) if case.dims == 2 else (columns,)))


def _sink(case: Case, table: dict[str, Moved], tile: tuple[range, range], values: Values) -> None:
    rows, columns = torch.tensor(tile[0]), torch.tensor(tile[1])
    out = table["out"]
    if case.sink in ("total", "peak"):
        where: tuple[torch.Tensor, ...] = (torch.tensor([0]),)
    elif case.sink == "scatter":
        table["bucket"].load(columns)
        where = (values["bucket"].long()[columns].repeat(len(rows)),)
    else:
        columns = columns[columns % 3 != 2] if case.guarded else columns
        where = (rows[:, None], columns) if case.dims == 2 else (columns,)
        where = (columns[:, None], rows) if case.sink == "transposed" else where
    if case.sink in ("total", "peak", "scatter"):  # an atomic reads and writes
        out.load(*where)
    out.store(*where)


def traffic(case: Case, values: Values) -> dict[str, tuple[int, int, int, int]]:
    """Tensor -> bytes loaded, stored, distinct loaded, distinct stored: program by program."""
    table = {tensor.name: Moved.none(tensor) for tensor in case.tensors}
    reduces = case.sink in ("sum", "max", "min")
    for tiles in _programs(case):
        for number, tile in enumerate(tiles):
            for access in case.accesses:
                if number == 0 or not access.hoisted:
                    _load(case, access, table, tile, values)
            if not reduces:
                _sink(case, table, tile, values)
        if reduces:
            table["out"].store(torch.tensor(tiles[0][0]))
    return {name: moved.figures for name, moved in table.items()}
