"""What is compiled once is read back; what would compile differently is not."""

import importlib.util
import itertools
import os

import pytest

from gpu_utils import codegen
from gpu_utils.codegen import child
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


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"asm_bytes": 3, "artifact": "{}"}'])
def test_a_damaged_entry_compiles_anew(folder, started, damage):
    codegen.compile(copy, meta(2**24), target="gfx942")
    (entry,) = folder.glob("*.json")
    entry.write_bytes(damage)
    codegen.compile(copy, meta(2**24), target="gfx942")
    assert len(started) == 2
    codegen.compile(copy, meta(2**24), target="gfx942")
    assert len(started) == 2  # and is whole again


def test_truncated_texts_compile_anew(folder, started):
    codegen.compile(copy, meta(2**24), target="gfx942")
    (texts,) = folder.glob("*.asm.gz")
    texts.write_bytes(texts.read_bytes()[:-1])
    (artifact,) = codegen.compile(copy, meta(2**24), target="gfx942")
    assert len(started) == 2
    assert "amdgcn" in artifact.asm


def test_texts_damaged_at_equal_length_are_told_and_heal(folder, started):
    codegen.compile(copy, meta(2**24), target="gfx942")
    (texts,) = folder.glob("*.asm.gz")
    texts.write_bytes(b"x" * texts.stat().st_size)
    (artifact,) = codegen.compile(copy, meta(2**24), target="gfx942")
    with pytest.raises(RuntimeError, match="compile again"):
        artifact.asm["amdgcn"]
    (healed,) = codegen.compile(copy, meta(2**24), target="gfx942")
    assert "s_endpgm" in healed.asm["amdgcn"]


def test_a_failed_compile_is_not_kept(folder):
    with pytest.raises(codegen.CompileError):
        codegen.compile(copy, meta(2**24), num_warps=3, target="sm_90")
    assert not folder.exists()


def test_a_directory_that_cannot_be_written_costs_a_warning(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("RIDGE_CACHE_DIR", str(blocked))
    with pytest.warns(UserWarning, match="set RIDGE_CACHE_DIR"):
        (artifact,) = codegen.compile(copy, meta(2**24), target="gfx942")
    assert artifact.load_widths == {128: 1}


def test_no_half_written_files_are_left(folder):
    codegen.compile(copy, meta(2**24), target=["sm_90", "gfx942"])
    assert sorted(path.suffix for path in folder.iterdir()) == [".gz", ".gz", ".json", ".json"]


def test_the_directory_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("RIDGE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert codegen.lens.cache.directory() == tmp_path / "ridgepoint" / "compiled"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    assert codegen.lens.cache.directory() == tmp_path / ".cache" / "ridgepoint" / "compiled"
