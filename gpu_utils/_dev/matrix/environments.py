"""One virtual environment for each Triton, made once and kept in build/matrix/."""

import dataclasses
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path

from gpu_utils._dev import install

__all__ = [
    "CANARY",
    "MATRIX",
    "Environment",
    "Needs",
    "newest",
    "prepare",
    "requirements",
    "steps",
]

# torch's CPU wheel names no Triton, so any can stand beside one torch; CUDA's wheel names one,
# which `--no-deps` replaces.
_TORCH = "2.13.0"
_TESTS_NEED = ("numpy", "pytest")  # of what pyproject.toml asks for
_STAMP = "ridgepoint-matrix.json"


@dataclasses.dataclass(frozen=True)
class Environment:
    """What is installed in one environment; an empty version is the newest there is."""

    name: str
    triton: str = ""
    torch: str = ""


MATRIX = tuple(
    Environment(f"triton-{version}", version, _TORCH)
    for version in ("3.6.0", "3.7.1", "3.8.0", "3.9.0")
)
CANARY = Environment("canary")


@dataclasses.dataclass(frozen=True)
class Needs:
    """What the tests need beside torch and Triton, as pyproject.toml words it.

    `others` are the packages whose kernels the tests look at.
    """

    tools: list[str]
    others: list[str]


def requirements(pyproject: Path) -> Needs:
    """Read what the tests need."""
    project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
    tools = [
        each
        for each in project["dependencies"]
        if re.match(r"[\w.-]+", each)[0] in _TESTS_NEED  # type: ignore[index]
    ]
    return Needs(tools, project["optional-dependencies"]["others"])


def newest(versions: Collection[str]) -> str:
    """The newest released version, without what stands after a "+".

    >>> newest(["2.14.1", "2.13.0+cpu", "2.9.0", "2.15.0rc1"])
    '2.14.1'
    """
    plain = {version.partition("+")[0] for version in versions}
    released = [each for each in plain if each.replace(".", "").isdigit()]
    if not released:
        raise install.Refusal("pip finds no torch for this Python: connect to the network.")
    return max(released, key=lambda each: [int(part) for part in each.split(".")])


def steps(wanted: Environment, torch: install.TorchChoice, needs: Needs) -> list[list[str]]:
    """The arguments of pip, one list a call.

    Triton comes last and alone: torch may name another, and whatever pip installs beside torch
    brings that back.

    Args:
        wanted: what is to be installed.
        torch: from `install.choose_torch`.
        needs: from `requirements`.
    """
    index = ["--extra-index-url", torch.extra_index] if torch.extra_index else []
    triton = f"triton=={wanted.triton}" if wanted.triton else "triton"
    return [
        ["install", "--upgrade", torch.requirement, *needs.tools, *needs.others, *index],
        ["install", "--upgrade", "--no-deps", triton],
    ]


def prepare(wanted: Environment, folder: Path, pyproject: Path) -> Path:
    """Make the environment in `folder`, unless it is there as wanted; return its Python.

    One without fixed versions is brought up to date each time.

    Raises:
        install.Refusal: pip failed; the text says why.
    """
    python = folder / "bin" / "python"
    needs = requirements(pyproject)
    stamp = json.dumps(
        [dataclasses.asdict(wanted), needs.tools, needs.others, sys.version_info[:2]]
    )
    kept = folder / _STAMP
    fixed = bool(wanted.triton and wanted.torch)
    if fixed and kept.exists() and kept.read_text("utf-8") == stamp:
        return python
    install.say(f"Making {folder}")
    kept.unlink(missing_ok=True)
    if not install.has_pip(python):
        major, minor = sys.version_info[:2]
        base = install.Candidate(sys.executable, (major, minor), True)
        install.make_venv(folder, base, stale=folder.exists())
    for arguments in steps(wanted, _torch(wanted, python), needs):
        _pip(python, arguments)
    kept.write_text(stamp, "utf-8")
    return python


def _torch(wanted: Environment, python: Path) -> install.TorchChoice:
    """torch for the CPU, where there is one: no test of these needs a GPU.

    Of the newest no number is asked for, since pip may be told to stay below it.
    """
    version = wanted.torch or newest(install.torch_versions(python, install.CPU_INDEX))
    choice = install.choose_torch(
        "cpu", version, lambda extra: install.torch_versions(python, extra)
    )
    return choice if wanted.torch else choice._replace(requirement="torch")


def _pip(python: Path, arguments: list[str]) -> None:
    command = [str(python), "-m", "pip", *arguments, "--progress-bar", "off", "--quiet"]
    done = subprocess.run(
        command, env=install.clean_environment(), capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        why = install.diagnose(done.stderr, done.returncode)
        said = done.stderr[-2000:].strip()
        raise install.Refusal(f"`pip {' '.join(arguments)}` failed.\n{said}\n{why}")
