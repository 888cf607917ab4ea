"""The installer: its decisions with hand-made facts, and its effects without a network."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_utils._dev import install
from gpu_utils._dev.install import GB, Candidate, Place, Refusal

SOURCE = Path(install.__file__)


def test_python_3_6_can_read_the_installer():
    ast.parse(SOURCE.read_text(), feature_version=(3, 6))


# Which Python.

OWN = Candidate("/usr/bin/python3", (3, 12), True)


def test_the_python_at_hand_is_taken_and_no_other_is_asked():
    def candidates():
        yield OWN
        raise AssertionError("asked for another Python")

    assert install.choose_python(candidates()) == OWN


@pytest.mark.parametrize("version", [(3, 8), (3, 10), (3, 14)])
def test_another_python_on_the_path_is_taken_instead_of_an_unsupported_one(version):
    unsupported = Candidate("/usr/bin/python3", version, True)
    other = Candidate("/usr/bin/python3.11", (3, 11), True)
    assert install.choose_python([unsupported, other]) == other


def test_a_python_that_can_make_a_venv_is_taken_before_one_that_cannot():
    bare = Candidate("/usr/bin/python3", (3, 11), False)
    assert install.choose_python([bare, OWN]) == OWN


def test_an_old_python_alone_is_refused_with_what_to_install():
    with pytest.raises(Refusal, match=r"3\.11 to 3\.13 .* this is 3\.8,.*apt install python3\.11"):
        install.choose_python([Candidate("/usr/bin/python3", (3, 8), True)])


def test_a_missing_venv_module_names_debians_package():
    with pytest.raises(Refusal, match=r"apt install python3-venv \(or python3\.11-venv\)"):
        install.choose_python([Candidate("/usr/bin/python3", (3, 11), False)])


def test_a_shim_that_does_not_run_is_no_candidate(tmp_path):
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert install.probe_python(str(shim)) is None


def test_a_python_says_what_it_is():
    probed = install.probe_python(sys.executable)
    assert probed.version == sys.version_info[:2]
    assert probed.makes_venvs


# Which machine.


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_linux_is_accepted_where_triton_has_wheels(machine):
    install.check_platform("Linux", machine)


@pytest.mark.parametrize(
    ("system", "machine", "fix"),
    [
        ("Darwin", "arm64", "devcontainer"),
        ("Windows", "AMD64", "wsl --install"),
        ("Linux", "riscv64", "Codespace"),
    ],
)
def test_other_platforms_are_refused_with_the_way_out(system, machine, fix):
    with pytest.raises(Refusal, match=fix):
        install.check_platform(system, machine)


def test_memory_is_enough_tight_or_too_little():
    assert install.check_memory(int(3.9 * GB)) is None  # a machine sold as 4 GB
    assert "2.0 GB" in install.check_memory(2 * GB)
    with pytest.raises(Refusal, match=r"1\.0 GB of memory and the course needs 4 GB"):
        install.check_memory(1 * GB)


def test_the_containers_limit_counts_where_it_is_lower(tmp_path):
    meminfo, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    meminfo.write_text("MemTotal:       8000000 kB\nMemFree:        1000000 kB\n")

    def bytes_with(text):
        limit.write_text(text)
        return install.memory_limit_bytes(str(meminfo), (str(limit), str(tmp_path / "absent")))

    assert bytes_with("max\n") == 8_000_000 * 1024
    assert bytes_with("2000000000\n") == 2_000_000_000
    # cgroup v1 writes "no limit" as a number near 2**63.
    assert bytes_with("9223372036854771712\n") == 8_000_000 * 1024


def test_a_full_disk_is_refused_before_anything_is_written():
    enough = Place("/home/ada/ridgepoint", 5 * GB, 4 * GB)
    install.check_disk([enough], "cpu")
    with pytest.raises(Refusal, match=r"/tmp has 0\.5 GB free .* about 1 GB: .*TMPDIR"):
        install.check_disk([enough, Place("/tmp", GB // 2, GB)], "cpu")


def test_on_a_gpu_machine_a_full_disk_is_offered_the_small_torch():
    short = Place("/home/ada/ridgepoint", 5 * GB, 12 * GB)
    with pytest.raises(Refusal, match="RIDGE_TORCH=cpu"):
        install.check_disk([short], "cuda")


def test_an_update_needs_less_than_a_first_installation(tmp_path):
    first = install.places_to_fill(tmp_path, "cuda", update=False)[0]
    update = install.places_to_fill(tmp_path, "cuda", update=True)[0]
    assert (first.needed_bytes, update.needed_bytes) == (12 * GB, 1 * GB)


# Which torch.


@pytest.mark.parametrize(
    ("has_gpu", "asked", "wanted"),
    [
        (True, "", "cuda"),
        (False, "", "cpu"),
        (True, "auto", "cuda"),
        (True, "cpu", "cpu"),
        (False, "cuda", "cuda"),
    ],
)
def test_the_gpu_decides_unless_the_user_does(has_gpu, asked, wanted):
    assert install.wanted_torch(has_gpu, asked) == wanted


def test_an_unknown_wish_lists_the_known_ones():
    with pytest.raises(Refusal, match="'rocm': it may be cpu, cuda or auto"):
        install.wanted_torch(False, "rocm")


def indexes(configured, extra=()):
    """Return what `offered` would answer: pip's own index, and that with pytorch.org's."""
    answers = {None: configured, install.CPU_INDEX: [*configured, *extra]}
    return answers.__getitem__


def test_with_a_gpu_the_cuda_wheel_is_forced_and_no_index_is_asked():
    def unasked(extra_index):
        raise AssertionError("asked an index")

    choice = install.choose_torch("cuda", "2.13.0", unasked)
    # `==` would let a configured 2.13.0+cpu win.
    assert (choice.requirement, choice.extra_index) == ("torch===2.13.0", None)


def test_without_a_gpu_pips_own_cpu_wheel_comes_first():
    choice = install.choose_torch("cpu", "2.13.0", indexes(["2.13.0+cpu", "2.13.0"]))
    assert (choice.requirement, choice.extra_index) == ("torch==2.13.0+cpu", None)


def test_without_a_gpu_pytorchs_index_comes_second():
    choice = install.choose_torch("cpu", "2.13.0", indexes(["2.13.0"], ["2.13.0+cpu"]))
    assert (choice.requirement, choice.extra_index) == ("torch==2.13.0+cpu", install.CPU_INDEX)
    assert choice.flavour == "cpu"


def test_without_a_gpu_the_default_wheel_comes_last_with_its_size_and_its_disk():
    choice = install.choose_torch("cpu", "2.13.0", indexes(["2.13.0", "2.12.0+cpu"]))
    assert (choice.requirement, choice.flavour) == ("torch==2.13.0", "cuda")
    assert "about 3 GB" in choice.note


def test_no_torch_anywhere_is_a_matter_of_the_network():
    with pytest.raises(Refusal, match="connect to the network"):
        install.choose_torch("cpu", "2.13.0", indexes([]))


def test_pips_answer_about_versions_is_read(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'torch (2.15.0)'\necho 'Available versions: 2.15.0, 2.13.0'")
    python.chmod(0o755)
    assert install.torch_versions(python, None) == ["2.15.0", "2.13.0"]
    python.write_text("#!/bin/sh\necho 'ERROR: No matching distribution' >&2\nexit 1")
    assert install.torch_versions(python, None) == []


def test_nvidia_smi_that_finds_no_gpu_means_no_gpu(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(install.Path, "glob", lambda self, pattern: iter(()))
    assert not install.has_nvidia_gpu()
    tool.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0)'\n")
    assert install.has_nvidia_gpu()


# What pip says.


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        (
            "  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (526.6 MB)",
            "Downloading torch 2.13.0 (526 MB)",
        ),
        (
            "Downloading https://host/whl/cpu/torch-2.13.0%2Bcpu-cp311-cp311-linux.whl (191.8 MB)",
            "Downloading torch 2.13.0+cpu (191 MB)",
        ),
        ("  Downloading rich-15.0.0-py3-none-any.whl (243 kB)", None),
        ("  Downloading pillow-13.0.0-cp311-cp311-linux_x86_64.whl (7.0 MB)", None),
        ("Installing collected packages: a, b, c", "Unpacking 3 packages, a minute or two"),
        ("Collecting torch==2.13.0", None),
    ],
)
def test_pips_lines_become_few_and_short(line, progress):
    assert install.progress_line(line) == progress


@pytest.mark.parametrize(
    ("output", "code", "fix"),
    [
        ("OSError: [Errno 28] No space left on device", 1, "disk is full"),
        ("NewConnectionError(... Temporary failure in name resolution)", 1, "the network failed"),
        ("ReadTimeoutError: Read timed out.\nERROR: No matching distribution", 1, "the network"),
        ("SSLError(SSLCertVerificationError(1, ...))\nMax retries exceeded", 1, "PIP_CERT"),
        ("ERROR: No matching distribution found for rich>=99", 1, "pip config list"),
        ("ERROR: ResolutionImpossible: for help visit ...", 1, "rule each other out"),
        ("Downloading torch", -9, "memory"),
        ("something new", 1, "install.log"),
    ],
)
def test_a_failed_pip_is_given_a_cause_and_a_fix(output, code, fix):
    assert fix in install.diagnose(output, code)


# Whether there is anything to do.


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Return a course with nothing but the installer and a pyproject.toml; no GPU, no pip."""
    (tmp_path / "gpu_utils" / "_dev").mkdir(parents=True)
    shutil.copy(SOURCE, tmp_path / "gpu_utils" / "_dev" / "install.py")
    (tmp_path / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['setuptools']\n"
        "[project]\nname = 'x'\ndependencies = ['torch==2.13.0']\n[tool.ruff]\nline-length = 9\n"
    )
    monkeypatch.setenv("RIDGE_TORCH", "cpu")
    return tmp_path


def installed(course):
    """Make the course look installed, as `install` leaves it."""
    requirements = install.requirements_in(course / "pyproject.toml")
    version = install.version_text(sys.version_info[:2])
    (course / ".venv" / "bin").mkdir(parents=True)
    (course / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (course / ".venv" / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}.1\n")
    stamp = install.stamp_text(requirements, version, "cpu", str(course))
    (course / ".venv" / install.STAMP).write_text(stamp)
    return json.loads(stamp)


@pytest.fixture
def updates(monkeypatch):
    """Return a list that grows by one whenever `install` would change something."""
    calls = []
    monkeypatch.setattr(install, "bring_up_to_date", lambda *arguments: calls.append(arguments))
    return calls


def test_a_second_run_does_nothing_and_says_nothing(course):
    installed(course)
    command = [sys.executable, course / "gpu_utils" / "_dev" / "install.py"]
    again = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_a_changed_lint_rule_is_no_reason_to_install(course, updates):
    installed(course)
    pyproject = course / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("line-length = 9", "line-length = 100"))
    assert not install.install(course)
    assert updates == []


def test_a_changed_requirement_is(course, updates):
    installed(course)
    pyproject = course / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("2.13.0", "2.14.0"))
    assert install.install(course)
    assert updates[0][-1] == "2.14.0"


def test_a_new_gpu_is(course, updates, monkeypatch):
    installed(course)
    monkeypatch.setenv("RIDGE_TORCH", "cuda")
    assert install.install(course)


def test_a_vanished_interpreter_is(course, updates):
    installed(course)
    (course / ".venv" / "bin" / "python").unlink()
    assert install.install(course)


def test_a_moved_or_foreign_or_broken_venv_is_made_anew(course):
    old = installed(course)
    own = Candidate(sys.executable, sys.version_info[:2], True)
    venv = course / ".venv"
    assert not install.is_stale(venv, own, old, course)
    assert not install.is_stale(course / "absent", own, {}, course)
    assert install.is_stale(venv, own, old, course / "moved")
    assert install.is_stale(venv, own._replace(version=(3, 99)), old, course)
    (venv / "bin" / "python").unlink()
    assert install.is_stale(venv, own, old, course)


def test_a_user_s_pip_settings_do_not_lead_pip_out_of_the_venv(monkeypatch):
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror/simple")
    environment = install.clean_environment()
    assert "PIP_TARGET" not in environment
    assert "PYTHONPATH" not in environment
    assert environment["PIP_USER"] == "0"
    assert environment["PIP_INDEX_URL"] == "https://mirror/simple"


def test_a_failed_pip_shows_its_last_lines_and_leaves_a_log(course, capsys):
    (course / ".venv").mkdir()
    python = course / "python"
    python.write_text("#!/bin/sh\necho 'Collecting x'\necho 'No space left on device'\nexit 1\n")
    python.chmod(0o755)
    choice = install.TorchChoice("cpu", "torch==2.13.0", None, "")
    with pytest.raises(Refusal, match="pip stopped: the disk is full"):
        install.run_pip(course, python, choice)
    assert "pip: No space left on device" in capsys.readouterr().out
    assert "Collecting x" in (course / ".venv" / "install.log").read_text()


def test_a_refusal_is_one_line_and_a_failure(course):
    environment = {**os.environ, "RIDGE_TORCH": "rocm"}
    command = [sys.executable, course / "gpu_utils" / "_dev" / "install.py"]
    refused = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=20)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert refused.stderr.startswith("ridgepoint: RIDGE_TORCH is 'rocm'")
