"""Keep artifacts on disk, so that what was compiled once is read in a millisecond.

An entry is two files: `<key>.json` with the numbers, `<key>.asm.gz` with the texts, which are
read only when somebody asks for them. File names inside the texts are those of the first
compile: the key knows a kernel by its source, not by where it stands. The directory may be
deleted at any time.
"""

import gzip
import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpu_utils.codegen.artifact import Artifact

__all__ = ["SCHEMA", "directory", "key", "load", "store"]

# Raise it when the same code is to be read differently.
SCHEMA = 1


class _Texts(Mapping[str, str]):
    """The texts of one artifact, read from disk at first use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._texts: dict[str, str] | None = None

    def _read(self) -> dict[str, str]:
        if self._texts is None:
            try:
                self._texts = json.loads(gzip.decompress(self._path.read_bytes()))
            except (OSError, EOFError, ValueError) as error:
                self._path.unlink(missing_ok=True)
                raise RuntimeError(
                    f"the texts of a compiled kernel were readable in {self._path} and are not "
                    "any more; compile again, which writes them anew"
                ) from error
        return self._texts

    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


def directory() -> Path:
    """Return where artifacts are kept: $RIDGE_CACHE_DIR, else the user's cache directory."""
    chosen = os.environ.get("RIDGE_CACHE_DIR")
    if chosen:
        return Path(chosen) / "compiled"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ridgepoint" / "compiled"


def key(*parts: str) -> str:
    """Return the name of the entry for what `parts` describe."""
    return hashlib.sha256(json.dumps([SCHEMA, *parts]).encode()).hexdigest()


def load(name: str) -> Artifact | None:
    """Return the artifact of entry `name`; None if there is none, or if it is damaged."""
    folder = directory()
    texts = folder / f"{name}.asm.gz"
    try:
        entry = json.loads((folder / f"{name}.json").read_text())
        if entry["asm_bytes"] != texts.stat().st_size:
            return None
        return Artifact.from_json(entry["artifact"], asm=_Texts(texts))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # as good as absent: it will be compiled and written anew


def _write(path: Path, content: bytes) -> None:
    """Write so that a reader sees all of it or nothing."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)


def store(name: str, artifact: Artifact) -> None:
    """Keep `artifact` as entry `name`; a directory that cannot be written costs a warning."""
    # mtime: two processes that write the same entry write the same bytes.
    texts = gzip.compress(json.dumps(dict(artifact.asm)).encode(), compresslevel=6, mtime=0)
    entry = {"asm_bytes": len(texts), "artifact": artifact.to_json(with_asm=False)}
    folder = directory()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / f"{name}.asm.gz", texts)
        _write(folder / f"{name}.json", json.dumps(entry).encode())
    except OSError as error:
        warnings.warn(
            f"compiled kernels cannot be kept in {folder} ({error.strerror}), so each run "
            "compiles anew; set RIDGE_CACHE_DIR to a directory that can be written",
            stacklevel=2,
        )
