"""Recordings: what the course's solutions did on real GPUs, with all that is needed to judge it.

A recording belongs to one launcher of one lab and to its arguments. It keeps the source hash of
each kernel that was launched, so that it knows by itself when the kernel has changed since: then
it is stale, and says so, instead of being shown as current.

>>> from gpu_utils import recordings
>>> recordings.find("no such launcher")
()
"""

from gpu_utils.recordings.case import Case
from gpu_utils.recordings.fields import RecordingError
from gpu_utils.recordings.files import FOLDER, SCHEMA, dump, file_name, load, parse, run_of
from gpu_utils.recordings.find import State, find, state
from gpu_utils.recordings.launched import Launched, described
from gpu_utils.recordings.model import Recording, Run
from gpu_utils.recordings.recorder import (
    AutotunedError,
    NoGPUError,
    WrongResultError,
    begin,
    compiled_peer,
    first_line,
    record,
    with_ceilings,
    with_peers,
)

__all__ = [
    "FOLDER",
    "SCHEMA",
    "AutotunedError",
    "Case",
    "Launched",
    "NoGPUError",
    "Recording",
    "RecordingError",
    "Run",
    "State",
    "WrongResultError",
    "begin",
    "compiled_peer",
    "described",
    "dump",
    "file_name",
    "find",
    "first_line",
    "load",
    "parse",
    "record",
    "run_of",
    "state",
    "with_ceilings",
    "with_peers",
]
