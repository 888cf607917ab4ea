"""What an operation needs at least, by hand."""

import pytest
import torch

from tests.unit.card.kernels import X, bare, double, gather


@pytest.mark.parametrize(
    ("fn", "args", "nbytes"),
    [
        (double, (X, X.clone()), 2 * 16_384),  # into an argument
        (lambda x: double(x, x), (X,), 2 * 16_384),  # in place: read and written
        (lambda x: double(double(x)), (X,), 2 * 16_384),  # the one in between is not
        (gather, (torch.zeros(1000, 16), torch.tensor([3, 7])), 2 * 8 + 2 * 64 + 2 * 64),
        (torch.neg, (X,), 2 * 16_384),
        (torch.add, (X, torch.ones(1).expand(4096)), 2 * 16_384 + 4),  # one element, 4096 times
        (double, (torch.ones(8192)[::2].contiguous(),), 2 * 16_384),
    ],
)
def test_compulsory_bytes(fn, args, nbytes):
    assert bare(fn, *args).compulsory_bytes == nbytes
