"""Keep artifacts on disk, so that what was compiled once is read in a millisecond.

An entry is one file: a checksum of what follows, a line of JSON with the entry's name and the
numbers, and the texts, compressed, which are unpacked only when somebody asks for them. A file
that is not exactly what was written for this name is compiled anew. File names inside the texts
are those of the first compile: the key knows a kernel by its source, not by where it stands.

Processes may share the directory: an entry appears whole or not at all, and whoever writes last
wins with the same content. It may be deleted at any time. Where it cannot be used, everything
works without it, and each process warns once.
"""

import contextlib
import gzip
import hashlib
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpu_utils.codegen.artifact import Artifact

__all__ = ["SCHEMA", "directory", "key", "load", "store"]

# Raise it when the same code is to be read differently.
SCHEMA = 2

_warned: set[str] = set()


class _Texts(Mapping[str, str]):
    """The texts of one artifact, unpacked at first use."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._texts: dict[str, str] | None = None

    def _read(self) -> dict[str, str]:
        if self._texts is None:
            self._texts = json.loads(gzip.decompress(self._packed))
        return self._texts

    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


def directory() -> Path:
    """Return where artifacts are kept: $RIDGE_CACHE_DIR, else the user's cache directory.

    Raises:
        OSError: the user has no home directory.
    """
    chosen = os.environ.get("RIDGE_CACHE_DIR")
    if chosen:
        return Path(chosen) / "compiled"
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "ridgepoint" / "compiled"
    except RuntimeError as error:  # a container may run under a number without a name
        raise FileNotFoundError(0, "there is no home directory") from error


def key(*parts: str) -> str:
    """Return the name of the entry for what `parts` describe."""
    return hashlib.sha256(json.dumps([SCHEMA, *parts]).encode()).hexdigest()


def _warn_once(kind: str, message: str) -> None:
    if kind in _warned:
        return
    _warned.add(kind)
    try:
        warnings.warn(message, stacklevel=2)
    except UserWarning as warning:  # where warnings are errors; a cache is no reason to stop
        print(f"warning: {warning}", file=sys.stderr)


def _cannot(what: str, error: OSError) -> None:
    _warn_once(
        what,
        f"compiled kernels cannot be {what} ({error.strerror}: {error.filename or 'the cache'}), "
        "so each run compiles anew; set RIDGE_CACHE_DIR to a directory of your own",
    )


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _pack(name: str, artifact: Artifact) -> bytes:
    numbers = json.dumps({"name": name, "artifact": artifact.to_json(with_asm=False)}).encode()
    # mtime: two processes that write the same entry write the same bytes.
    texts = gzip.compress(json.dumps(dict(artifact.asm)).encode(), compresslevel=6, mtime=0)
    content = numbers + b"\n" + texts
    return _checksum(content) + b"\n" + content


def _unpack(name: str, packed: bytes) -> Artifact:
    checksum, _, content = packed.partition(b"\n")
    if checksum != _checksum(content):
        raise ValueError("the content is not what was written")
    numbers, _, texts = content.partition(b"\n")
    entry = json.loads(numbers)
    if entry["name"] != name:
        raise ValueError("the content was written for another entry")
    return Artifact.from_json(entry["artifact"], asm=_Texts(texts))


def load(name: str) -> Artifact | None:
    """Return the artifact of entry `name`; None if there is none that can be trusted."""
    try:
        path = directory() / f"{name}.artifact"
        packed = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        _cannot("read", error)
        return None
    try:
        return _unpack(name, packed)
    except (ValueError, KeyError, TypeError) as error:
        _warn_once(
            "trusted",
            f"a compiled kernel in {path.parent} is damaged ({error}); it is compiled anew. If "
            "this comes back, empty the directory and look after the disk",
        )
        return None


def store(name: str, artifact: Artifact) -> None:
    """Keep `artifact` as entry `name`."""
    try:
        folder = directory()
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / f"{name}.artifact", _pack(name, artifact))
    except OSError as error:
        _cannot("kept", error)


def _write(path: Path, content: bytes) -> None:
    """Write so that a reader sees all of it or nothing."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.replace(file.name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(file.name)
            raise
