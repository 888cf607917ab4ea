"""What the tests of forked children ask of the system."""

import time
from pathlib import Path


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
