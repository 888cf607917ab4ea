"""What is compiled once is read back; what would compile differently is not."""

import dataclasses
import errno
import hashlib
import importlib.util
import itertools
import json
import os
import shutil
import warnings

import pytest

from gpu_utils import codegen
from gpu_utils.codegen import cache, child
from tests.unit.codegen.kernels import copy, meta

SOURCE = """
import triton
import triton.language as tl

@triton.jit
def scale(x):
    return x * {factor}

@triton.jit
def scale_kernel(x_ptr, y_ptr, N, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < N
    tl.store(y_ptr + offs, scale(tl.load(x_ptr + offs, mask=mask)) + {offset}, mask=mask)

def launcher(x, y):
    scale_kernel[(x.numel() // 1024,)](x, y, x.numel(), BLOCK_SIZE=1024)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache of the test's own."""
    monkeypatch.setenv("RIDGE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compiled"


@pytest.fixture
def started(monkeypatch):
    """How many compilations were started since."""
    count = []
    run_all = child.run_all

    def counting(works, **kwargs):
        count.extend(works)
        return run_all(works, **kwargs)

    monkeypatch.setattr(child, "run_all", counting)
    return count


@pytest.fixture
def load(tmp_path):
    numbers = itertools.count()

    def load(**values):
        number = next(numbers)
        path = tmp_path / f"written_{number}.py"
        path.write_text(SOURCE.format(**values))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return lambda: codegen.compile(module.launcher, meta(2**20), meta(2**20), target="gfx942")

    return load


def test_the_second_compile_starts_no_child(folder, started):
    (first,) = codegen.compile(copy, meta(2**24), target="sm_90")
    assert len(started) == 1
    (second,) = codegen.compile(copy, meta(2**24), target="sm_90")
    assert len(started) == 1
    assert second == first
    assert dict(second.asm) == dict(first.asm)
    assert "LDG.E.128" in second.asm["sass"]


def test_a_size_of_the_same_kind_is_the_same_code(folder, started):
    codegen.compile(copy, meta(2**24), target="gfx942")
    codegen.compile(copy, meta(2**20), target="gfx942")  # 16 divides both
    assert len(started) == 1


def test_what_changes_the_code_changes_the_key(folder, started):
    codegen.compile(copy, meta(2**24), target="gfx942")
    for x, options in [
        (meta(2**24 + 1)[1:], {}),  # the alignment
        (meta(4099), {}),  # 16 does not divide the size
        (meta(2**24).half(), {}),  # the type
        (meta(2**24), {"BLOCK_SIZE": 512}),  # a constexpr
        (meta(2**24), {"num_warps": 8}),  # an option
        (meta(2**30), {}),  # 4 GiB is too much for buffer descriptors
    ]:
        before = len(started)
        codegen.compile(copy, x, target="gfx942", **options)
        assert len(started) == before + 1


def test_a_changed_kernel_compiles_anew(folder, started, load):
    load(factor=2.0, offset=1.0)()
    load(factor=2.0, offset=1.0)()  # another file, the same source
    assert len(started) == 1
    load(factor=2.0, offset=3.0)()
    assert len(started) == 2


def test_a_changed_helper_compiles_anew(folder, started, load):
    load(factor=2.0, offset=1.0)()
    load(factor=4.0, offset=1.0)()
    assert len(started) == 2


def test_a_setting_of_the_compiler_compiles_anew(folder, started, monkeypatch):
    codegen.compile(copy, meta(2**24), target="gfx942")
    monkeypatch.setenv("TRITON_DISABLE_LINE_INFO", "1")
    codegen.compile(copy, meta(2**24), target="gfx942")
    assert len(started) == 2


def _flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def _other_schema(content: bytes) -> bytes:
    """Whole and checked, but written by a version with other fields."""
    numbers, _, texts = content.partition(b"\n")[2].partition(b"\n")
    entry = json.loads(numbers)
    entry["artifact"] = json.dumps({"target": "gfx942", "registers": 1})
    again = json.dumps(entry).encode() + b"\n" + texts
    return hashlib.sha256(again).hexdigest().encode() + b"\n" + again


DAMAGE = {
    "empty": lambda content: b"",
    "truncated in the numbers": lambda content: content[:200],
    "truncated in the texts": lambda content: content[:-1],
    "longer": lambda content: content + b"\n",
    "a bit of the checksum": lambda content: _flip(content, 3),
    "a bit of the numbers": lambda content: _flip(content, content.index(b"registers") + 15),
    "a bit of the texts": lambda content: _flip(content, len(content) - 100),
    "foreign": lambda content: b"\x89PNG\r\n\x1a\n" * 100,
    "other JSON": lambda content: b'{"asm_bytes": 3, "artifact": "{}"}',
    "another schema": _other_schema,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_told_once_and_compiles_anew(folder, started, capsys, damage):
    (whole,) = codegen.compile(copy, meta(2**24), target="gfx942")
    (entry,) = folder.iterdir()
    content = entry.read_bytes()
    entry.write_bytes(damage(content))
    assert entry.read_bytes() != content
    with pytest.warns(UserWarning, match=r"is damaged .* compiled anew"):
        (again,) = codegen.compile(copy, meta(2**24), target="gfx942")
    assert again == whole
    assert dict(again.asm) == dict(whole.asm)
    assert entry.read_bytes() == content  # and is whole again
    entry.write_bytes(damage(content))
    codegen.compile(copy, meta(2**24), target="gfx942")
    assert capsys.readouterr().err == ""  # where a second warning, an error in tests, would stand
    assert entry.read_bytes() == content
    assert len(started) == 3


def test_an_entry_under_another_name_is_not_believed(folder, started):
    codegen.compile(copy, meta(2**24), target="gfx942")
    (wide,) = folder.iterdir()
    codegen.compile(copy, meta(4099), target="gfx942")
    (narrow,) = set(folder.iterdir()) - {wide}
    narrow.write_bytes(wide.read_bytes())
    with pytest.warns(UserWarning, match="written for another entry"):
        (artifact,) = codegen.compile(copy, meta(4099), target="gfx942")
    assert artifact.load_widths == {32: 4}


def test_texts_survive_the_loss_of_the_directory(folder):
    codegen.compile(copy, meta(2**24), target="gfx942")
    (artifact,) = codegen.compile(copy, meta(2**24), target="gfx942")
    shutil.rmtree(folder)
    assert "s_endpgm" in artifact.asm["amdgcn"]


def test_two_processes_that_fill_it_at_once_lose_nothing(folder, started):
    targets = ["sm_90", "gfx942"]

    def fill() -> str:
        # In its child, `compile` starts children of its own.
        built = codegen.compile(copy, meta(2**24), target=targets)
        return json.dumps([built[target][0].to_json() for target in targets])

    first, second = child.run_all([fill, fill], limit_s=60, workers=2)
    assert first.value is not None, first.log
    assert first.value == second.value
    assert len(list(folder.iterdir())) == 2
    before = len(started)
    kept = codegen.compile(copy, meta(2**24), target=targets)
    assert len(started) == before
    assert [kept[target][0].to_json() for target in targets] == json.loads(first.value)


def test_an_entry_that_two_write_and_one_reads_is_always_whole(folder):
    (artifact,) = codegen.compile(copy, meta(2**24), target="gfx942")
    (path,) = folder.iterdir()
    # Of different lengths, so that a mixture of two would be seen.
    long = dataclasses.replace(artifact, asm={**artifact.asm, "more": os.urandom(10**5).hex()})

    def write(content) -> str:
        for _ in range(100):
            cache.store(path.stem, content)
        return "written"

    def read() -> str:
        found = [cache.load(path.stem) for _ in range(200)]
        assert all(one == artifact and len(one.asm) in (2, 3) for one in found)
        return "whole"

    works = [lambda: write(artifact), lambda: write(long), read]
    endings = child.run_all(works, limit_s=60, workers=3)
    assert [ending.value for ending in endings] == ["written", "written", "whole"], endings
    assert list(folder.iterdir()) == [path]


def test_a_failed_compile_is_not_kept(folder):
    with pytest.raises(codegen.CompileError):
        codegen.compile(copy, meta(2**24), num_warps=3, target="sm_90")
    assert not folder.exists()


@pytest.fixture
def read_only(monkeypatch):
    """Root may write everywhere, so the system's refusal is staged."""

    def refuse(path, content):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))

    return lambda: monkeypatch.setattr(cache, "_write", refuse)


def test_a_read_only_directory_costs_one_warning(folder, started, capsys, read_only):
    read_only()
    with pytest.warns(UserWarning, match=r"cannot be kept .*set RIDGE_CACHE_DIR"):
        codegen.compile(copy, meta(2**24), target="gfx942")
    for size in (4099, 2**24):
        codegen.compile(copy, meta(size), target="gfx942")
    assert capsys.readouterr().err == ""  # where a second warning, an error in tests, would stand
    assert len(started) == 3


def test_a_read_only_directory_is_still_read(folder, started, read_only):
    codegen.compile(copy, meta(2**24), target="gfx942")
    read_only()
    (artifact,) = codegen.compile(copy, meta(2**24), target="gfx942")  # and warns of nothing
    assert artifact.load_widths == {128: 1}
    assert len(started) == 1


def test_an_entry_that_cannot_be_read_costs_a_warning(folder, started, capsys):
    codegen.compile(copy, meta(2**24), target="gfx942")
    (path,) = folder.iterdir()
    path.unlink()
    path.mkdir()  # cannot be read, nor be replaced by a file
    with (
        pytest.warns(UserWarning, match="cannot be read"),
        pytest.warns(UserWarning, match="cannot be kept"),
    ):
        codegen.compile(copy, meta(2**24), target="gfx942")
    codegen.compile(copy, meta(2**24), target="gfx942")
    assert capsys.readouterr().err == ""
    assert len(started) == 3
    assert list(folder.iterdir()) == [path]


def test_a_file_in_the_directorys_place(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("RIDGE_CACHE_DIR", str(blocked))
    with pytest.warns(UserWarning, match="set RIDGE_CACHE_DIR"):
        (artifact,) = codegen.compile(copy, meta(2**24), target="gfx942")
    assert artifact.load_widths == {128: 1}


def test_a_user_without_a_home(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("RIDGE_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cache.Path, "home", homeless)
    with pytest.warns(UserWarning, match=r"no home directory.*set RIDGE_CACHE_DIR"):
        codegen.compile(copy, meta(2**24), target="gfx942")


def test_where_warnings_are_errors_the_compile_goes_on(folder, read_only, capsys):
    read_only()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (artifact,) = codegen.compile(copy, meta(2**24), target="gfx942")
    assert artifact.load_widths == {128: 1}
    assert "set RIDGE_CACHE_DIR" in capsys.readouterr().err


def test_a_full_disk_leaves_no_piece_behind(folder, monkeypatch):
    (artifact,) = codegen.compile(copy, meta(2**24), target="gfx942")
    (path,) = folder.iterdir()

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache.os, "replace", full)
    with pytest.warns(UserWarning, match="No space left"):
        cache.store("another", artifact)
    assert list(folder.iterdir()) == [path]


def test_the_directory_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("RIDGE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.directory() == tmp_path / "ridgepoint" / "compiled"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    assert cache.directory() == tmp_path / ".cache" / "ridgepoint" / "compiled"
