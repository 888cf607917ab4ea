"""What the tests of forked children ask of the system."""

import os
import time
from pathlib import Path


def children() -> set[int]:
    """The processes that this one started and has not buried yet, the dead among them too."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == os.getpid():
            found.add(int(stat.parent.name))
    return found


def is_dead(pid: int) -> bool:
    """Whether a process that nobody here can wait for is gone, or soon is."""
    for _ in range(100):  # whoever adopted it may need a moment to bury it
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            return True
        if stat.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False
