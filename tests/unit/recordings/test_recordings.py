"""Recordings: files read back, damage named, stale told from fresh."""

import dataclasses
import datetime
import doctest
import json
import subprocess
import sys

import pytest
import torch

from gpu_utils import codegen, parity, recordings
from gpu_utils.parity import Fingerprint
from gpu_utils.recordings import Launched, RecordingError, files, launched


def test_the_course_brings_files_that_it_can_read():
    found = recordings.load()
    files = list(recordings.FOLDER.glob("*.json"))
    assert len({recording.run for recording in found}) == len(files)


def test_an_empty_folder_and_none_at_all(tmp_path):
    assert recordings.load(tmp_path) == recordings.load(tmp_path / "none") == ()


def test_a_file_is_read_back_as_it_was(recording, tmp_path):
    text = recordings.dump(recording.run, [recording, recording])
    (tmp_path / recordings.file_name(recording.run)).write_text(text)
    assert recordings.load(tmp_path) == (recording, recording)
    assert recordings.run_of(text, "it") == recording.run
    assert recordings.dump(recording.run, recordings.parse(text, "it")) == text


def test_what_is_missing_stays_missing(recording):
    bare = dataclasses.replace(
        recording, counters=None, load_bytes=None, store_bytes=None, flops=None,
        run=dataclasses.replace(recording.run, ceilings=None), unknown={"counters": "no ncu"},
    )  # fmt: skip
    assert recordings.parse(recordings.dump(bare.run, [bare]), "it") == (bare,)


def test_nothing_private_is_written(recording):
    private = Fingerprint({"gpu.uuid": "GPU-1", "gpu.name": "NVIDIA L4"}, {})
    run = dataclasses.replace(recording.run, fingerprint=private)
    with pytest.raises(ValueError, match=r"holds gpu\.uuid: recordings are published"):
        recordings.dump(run, [dataclasses.replace(recording, run=run)])


def test_a_file_is_of_one_run(recording):
    another = dataclasses.replace(recording.run, command="ridge record lab00")
    with pytest.raises(ValueError, match="of one run"):
        recordings.dump(another, [recording])


def changed(recording, path, value):
    """The document with the value at a path such as "recordings.0.timing" replaced or removed."""
    document = json.loads(recordings.dump(recording.run, [recording]))
    place, *names = document, *path.split(".")
    for name in names[:-1]:
        place = place[int(name) if isinstance(place, list) else name]
    if value is ...:
        del place[names[-1]]
    else:
        place[names[-1]] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema", 2, r"h\.json: schema 2 is newer than 1.*bring the course up to date"),
        ("schema", "1", r"h\.json: schema: expected a whole number, got '1'"),
        ("schema", 0, r"h\.json: schema: expected 1, got 0"),
        ("schema", ..., r"h\.json: schema is missing"),
        ("date", "yesterday", r"h\.json: date: expected a day such as 2026-11-24"),
        ("fingerprint", {}, r"h\.json: fingerprint: this is no fingerprint"),
        ("fingerprint.schema", 9, r"h\.json: fingerprint: the fingerprint has schema 9"),
        ("ceilings.copy_bytes_per_s", -1, r"h\.json: ceilings: expected ceilings \(each ceiling"),
        ("ceilings.colour", 1, r"h\.json: ceilings: expected ceilings"),
        ("recordings", {}, r"h\.json: recordings: expected a list"),
        ("recordings.0.unit", ..., r"h\.json: recordings\[0\]\.unit is missing"),
        ("recordings.0.timing.median_s", "fast", r"recordings\[0\]\.timing\.median_s: expected a"),
        ("recordings.0.timing.median_s", 0, r"median_s: expected a number above 0, got 0"),
        ("recordings.0.timing.runs", True, r"runs: expected a whole number, got True"),
        ("recordings.0.timing.colour", 1, r"recordings\[0\]\.timing: .*'colour'"),
        ("recordings.0.peers.torch", [], r"recordings\[0\]\.peers\.torch: expected a table"),
        ("recordings.0.peers.torch.names", ["copy"], r"names: expected two names"),
        ("recordings.0.peers.torch.b.runs", 1.5, r"peers\.torch\.b\.runs: expected a whole number"),
        ("recordings.0.launches.0.grid", [1, 2], r"launches\[0\]\.grid: expected three sizes"),
        ("recordings.0.counters", {"x": "1"}, r"recordings\[0\]\.counters\.x: expected a number"),
        (
            "recordings.0.under_load.facts",
            {"gpu.colour": 1},
            r"recordings\[0\]\.under_load: not a fact",
        ),
    ],
)
def test_damage_is_named_with_file_and_field(recording, tmp_path, path, value, message):
    (tmp_path / "h.json").write_text(changed(recording, path, value))
    with pytest.raises(RecordingError, match=message):
        recordings.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{'a': 1}", r"h\.json: line 1: this is no JSON"),
        (b"", r"h\.json: line 1: this is no JSON"),
        (b"[1, 2]", r"h\.json: the document: expected a table, got \[1, 2\]"),
        (b"\xff\xfe1", r"h\.json: this is no text in UTF-8"),
        (b'{"name": "somebody else\'s"}', r"h\.json: schema is missing"),
    ],
)
def test_foreign_files(tmp_path, content, message):
    (tmp_path / "h.json").write_bytes(content)
    with pytest.raises(RecordingError, match=message):
        recordings.load(tmp_path)


COPY = """
@triton.jit
def k(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=offs < n), mask=offs < n)
"""


def launcher(kernel, block=128, launches=1, **options):
    def copy(x):
        out = torch.empty_like(x)
        for _ in range(launches):
            kernel[((x.numel() + block - 1) // block,)](x, out, x.numel(), BLOCK=block, **options)
        return out

    return copy


def launches_of(fn, n=1000):
    return codegen.capture(fn, torch.empty(n, device="meta"))


@pytest.fixture
def kept(recording, kernel):
    """The recording, as it would be of `launcher(kernel(COPY))` for 1000 numbers."""
    launches = tuple(map(Launched.of, launches_of(launcher(kernel(COPY), num_warps=4))))
    vector = {"dtype": "float32", "shape": [1000]}
    return dataclasses.replace(recording, launches=launches, arguments={"x": vector})


def test_a_launch_is_kept_with_all_that_decides_its_code(kept):
    (launch,) = kept.launches
    vector = {"dtype": "float32", "shape": [1000]}
    assert launch.kernel == "k"
    assert launch.grid == (8, 1, 1)  # 1000 / 128 = 7.8
    assert launch.arguments == {"x_ptr": vector, "out_ptr": vector, "n": 1000, "BLOCK": 128}
    assert launch.options == {"num_warps": 4}


def test_fresh_after_a_change_of_words(kept, kernel):
    again = COPY.replace("BLOCK: tl.constexpr):", 'BLOCK: tl.constexpr):\n    """Copies."""')
    launches = launches_of(launcher(kernel(again), num_warps=4))
    assert kept.changes(launches) == ()
    assert recordings.state([kept], launches) == "fresh"
    assert "stale" not in kept.said(launches)


@pytest.mark.parametrize(
    ("text", "how", "changes"),
    [
        (COPY.replace("<", "<="), {"num_warps": 4}, ("the source of k has changed",)),
        (COPY, {"num_warps": 8}, ("option num_warps was 4 and is 8",)),
        (COPY, {}, ("option num_warps was 4 and is None",)),
        (COPY, {"num_warps": 4, "block": 256},
         ("BLOCK was 128 and is 256", "the grid was (8, 1, 1) and is (4, 1, 1)")),
        (COPY, {"num_warps": 4, "launches": 2}, ("1 kernels were launched and 2 are",)),
    ],
)  # fmt: skip
def test_stale_says_what_changed(kept, kernel, text, how, changes):
    launches = launches_of(launcher(kernel(text), **how))
    assert kept.changes(launches) == changes
    assert kept.stale(launches)
    assert recordings.state([kept], launches) == "stale"
    assert kept.said(launches).endswith(f"; stale: {', '.join(changes)}")


def test_another_kernel_in_its_place(kept, kernel):
    launches = launches_of(launcher(kernel(COPY.replace("def k", "def j") + "k = j\n")))
    assert kept.changes(launches) == ("k was launched and j is",)


def test_no_recording_is_a_state_of_its_own():
    assert recordings.state((), []) == "none"


def test_finding(recording, tmp_path):
    later = dataclasses.replace(recording.run, date=datetime.date(2027, 1, 2))
    l4 = Fingerprint({"gpu.name": "NVIDIA L4"}, {})
    runs = {"a": recording.run, "b": later, "c": dataclasses.replace(later, fingerprint=l4)}
    for name, run in runs.items():
        text = recordings.dump(run, [dataclasses.replace(recording, run=run)])
        (tmp_path / f"{name}.json").write_text(text)

    def found(*args, **kwargs):
        every = recordings.find(*args, folder=tmp_path, **kwargs)
        return [(str(recording.run.date), recording.run.device) for recording in every]

    old, new = ((day, "NVIDIA H100 80GB HBM3") for day in ("2026-11-24", "2027-01-02"))
    assert found("copy", device="h100 sxm") == [new, old]  # newest first
    assert found("copy", device="NVIDIA H100 80GB HBM3", unit="lab00") == [new, old]
    assert found("copy", device="NVIDIA L4") == [("2027-01-02", "NVIDIA L4")]
    assert found("copy", unit="lab01") == found("axpby") == []
    assert len(found("copy", {"x": torch.empty(67_108_864, device="meta")})) == 3
    assert found("copy", {"x": torch.empty(5, device="meta")}) == []
    halves = torch.empty(67_108_864, device="meta", dtype=torch.float16)
    assert found("copy", {"x": halves}) == []


def test_it_prints_as_recorded_with_where_and_when(recording):
    assert str(recording) == (
        "lab00 copy(float32 [67108864]): 179 µs RECORDED (p20 178 µs, p80 180 µs) on "
        "NVIDIA H100 80GB HBM3, 2026-11-24, torch 2.11.0+cu130, triton 3.6.0"
    )


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (torch.empty(2, 3), {"dtype": "float32", "shape": [2, 3]}),
        (torch.empty(2, 3).T, {"dtype": "float32", "shape": [3, 2], "strides": [1, 3]}),
        (torch.float16, "torch.float16"),
        (True, True),
        (float("-inf"), "-inf"),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        (object(), "object"),  # and no address
    ],
)
def test_arguments_as_json_keeps_them(value, told):
    assert recordings.described(value) == told


def test_a_kernel_passed_as_a_constant_counts_by_its_source(kernel):
    told = recordings.described(kernel(COPY))
    assert told.startswith("k ")
    assert told != recordings.described(kernel(COPY.replace("<", "<=")))


def test_importing_it_imports_no_torch():
    code = "import sys, gpu_utils.recordings; print({'torch', 'triton'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_facts_of_the_moment_are_all_that_a_load_holds(recording):
    assert all(parity.FACTS[name].momentary for name in recording.under_load.facts)


@pytest.mark.parametrize("module", [recordings, files, launched])
def test_doctests(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
