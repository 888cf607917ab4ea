"""Put a lab's starter back, and keep what was there."""

import datetime
from pathlib import Path

from gpu_utils.course import units
from gpu_utils.course.starter import starter


class Reset:
    """What `reset` did. Prints itself."""

    def __init__(self, lab: Path, backup: Path | None) -> None:
        self.lab, self.backup = lab, backup

    def __repr__(self) -> str:
        if self.backup is None:
            return f"{self.lab.name} is the starter again; there was nothing to keep."
        return f"{self.lab.name} is the starter again. Your file is kept as {self.backup}"


def reset(what: str) -> Reset:
    """Restore a lab file to its starter; the old file is kept in `labs/.backup/`.

    Raises:
        UnknownName: no such lab.
    """
    unit, _ = units.find(what)
    lab = unit.lab_file
    text = starter(unit.solution_file.read_text("utf-8"), unit.solution_file.name)
    backup = None
    if lab.exists() and lab.read_bytes() != text.encode():
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S-%f")
        backup = lab.parent / ".backup" / f"{lab.stem}.{stamp}.py"
        backup.parent.mkdir(exist_ok=True)
        backup.write_bytes(lab.read_bytes())
    lab.write_text(text, "utf-8")
    return Reset(lab, backup)
