"""Which Tritons the code here was tested with; `make matrix` tests them all."""

import re
import sys

__all__ = ["TESTED", "release", "untested"]

TESTED = ("3.6", "3.7", "3.8", "3.9")


def release(version: str) -> tuple[int, int]:
    """The first two numbers; what has none comes after all that have.

    >>> release("3.7.1") < release("3.10.0+git5c5a9fd") < release("main")
    True
    """
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (sys.maxsize, 0)


def untested(version: str) -> str:
    """What to say of a version; "" if it was tested, whatever its last number.

    >>> untested("3.7.1"), untested("3.9.0+git5c5a9fd")
    ('', '')
    >>> untested("4.0.0")
    'gpu_utils was tested with Triton 3.6 to 3.9, and this is 4.0.0: what leans on its insides \
may fail or be wrong; install one of those'
    """
    if release(version) in map(release, TESTED):
        return ""
    return (
        f"gpu_utils was tested with Triton {TESTED[0]} to {TESTED[-1]}, and this is {version}: "
        "what leans on its insides may fail or be wrong; install one of those"
    )
