"""The other side of the comparison: Triton's own interpreter, in a process of its own.

TRITON_INTERPRET must be set before Triton is imported, and a process in which it is set cannot
compile. So the stock interpreter gets a child; it reads the name of a case a line, runs that
once, and answers with the seconds.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

__all__ = ["main", "stock"]


@contextlib.contextmanager
def stock(*arguments: str) -> Iterator[Callable[[str], float]]:
    """Start the child; yield a function that takes a case's name and returns seconds.

    Args:
        *arguments: "--small" for the small cases.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", __name__, *arguments],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(name: str) -> float:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(name + "\n")
        child.stdin.flush()
        answer = child.stdout.readline()
        if not answer:
            raise RuntimeError(f"the stock interpreter ended in {name}; its words are above")
        return float(answer)

    with child:
        try:
            yield run
        finally:
            child.kill()


def main(arguments: list[str]) -> None:
    """Be the child: one line in, one line out, until the input ends."""
    from gpu_utils._dev.bench import kernels

    cases = kernels.SMALL if "--small" in arguments else kernels.CASES
    for asked in sys.stdin:
        case = cases[asked.strip()]
        inputs = case.inputs()
        began = time.perf_counter()
        out = case.launch(*inputs)
        seconds = time.perf_counter() - began
        kernels.check(case, inputs, out)
        print(seconds, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
