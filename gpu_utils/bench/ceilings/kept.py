"""Ceilings kept on disk, one file for each device in each state that changes what it reaches."""

import dataclasses
import datetime
import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

from gpu_utils.bench.ceilings.result import Ceilings

__all__ = ["directory", "load", "store"]

SCHEMA = 1  # raise it when ceilings are measured differently


def directory() -> Path:
    """Where they are kept: $RIDGE_CACHE_DIR, else the user's cache directory."""
    chosen = os.environ.get("RIDGE_CACHE_DIR")
    if chosen:
        return Path(chosen) / "ceilings"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ridgepoint" / "ceilings"


def _path(described: Mapping[str, str]) -> Path:
    name = hashlib.sha256(json.dumps([SCHEMA, sorted(described.items())]).encode()).hexdigest()
    return directory() / f"{name}.json"


def load(described: Mapping[str, str]) -> Ceilings | None:
    """What was kept for a device of this description, with the day in its note; None if nothing.

    A file that cannot be read costs a warning, and is written anew.
    """
    path = _path(described)
    try:
        entry = json.loads(path.read_text("utf-8"))
        found, day = Ceilings.from_json(entry["ceilings"]), entry["day"]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        warnings.warn(
            f"kept ceilings in {path} cannot be read ({error}), so they are measured again",
            stacklevel=4,
        )
        return None
    said = f"Measured on {day} and kept since; fresh=True measures again."
    return dataclasses.replace(found, note=" ".join(filter(None, (found.note, said))))


def store(described: Mapping[str, str], found: Ceilings) -> None:
    """Keep them; a directory that cannot be written costs a warning."""
    path = _path(described)
    day = datetime.date.today().isoformat()
    entry = {"device": dict(described), "day": day, "ceilings": found.to_json()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(json.dumps(entry))
        os.replace(file.name, path)  # whoever reads sees all of it or nothing
    except OSError as error:
        warnings.warn(
            f"ceilings cannot be kept in {path.parent} ({error.strerror}), so each run measures "
            "anew; set RIDGE_CACHE_DIR to a directory that can be written",
            stacklevel=4,
        )
