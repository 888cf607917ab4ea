"""Copies of arguments."""

import torch

from gpu_utils.card import arguments


def test_copies_keep_aliases_strides_and_alignment():
    base = torch.arange(12.0)
    wide, tail, whole = arguments.copies((base.view(3, 4).T, base[5:], [base]))
    assert wide.stride() == (1, 4)
    assert tail.data_ptr() % 64 == base[5:].data_ptr() % 64
    whole[0].fill_(7)
    assert wide[0, 0] == 7  # one storage still
    assert base[0] == 0  # and not the original
    odd = torch.frombuffer(bytearray(64), dtype=torch.uint8)[3:]
    assert arguments.copies(odd).data_ptr() % 64 == odd.data_ptr() % 64
