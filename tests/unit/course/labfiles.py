"""Lab files that tests make up, and their verdicts."""

from gpu_utils.course import units
from gpu_utils.course.check import judge

GOOD_KERNEL = """
import os, sys, time, torch, triton, triton.language as tl

@triton.jit
def copy_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=mask), mask=mask)

def good_copy(x):
    out = torch.empty_like(x)
    copy_kernel[(triton.cdiv(x.numel(), 1024),)](x, out, x.numel(), BLOCK_SIZE=1024)
    return out
"""


def judge_files(folder, texts, time_limit_s=40.0):
    """Judge each text as task (a) of lab00, all in one child process: name -> TaskVerdict."""
    paths = {}
    for number, (name, text) in enumerate(texts.items()):
        paths[name] = folder / f"file{number}.py"
        paths[name].write_text(text, "utf-8")
    return judge_paths(paths, time_limit_s)


def judge_paths(paths, time_limit_s=40.0):
    """Judge each file as task (a) of lab00: name -> TaskVerdict."""
    unit = units.find("lab00")[0]
    sides = [str(path) for path in paths.values()]
    found = judge(unit, [unit.task("a")], sides, time_limit_s)
    return dict(zip(paths, found, strict=True))
