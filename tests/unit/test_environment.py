"""environment.yml, the devcontainer and the installer say the same as pyproject.toml."""

import importlib.metadata
import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from gpu_utils._dev import install

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = {Requirement(text).name: Requirement(text) for text in PROJECT["dependencies"]}
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
BY_PIP = next(entry["pip"] for entry in CONDA if isinstance(entry, dict))

# What torch's CUDA wheel on PyPI fixes. Its METADATA (torch-2.13.0-cp311-cp311-manylinux_2_28_
# x86_64.whl) reads: Requires-Dist: triton==3.7.1; platform_system == "Linux" and ...
# A new torch needs a new line here, read from the new wheel.
TRITON_OF_TORCH = {"2.13.0": "3.7.1"}


def pin(name: str) -> str:
    """Return the one version that pyproject.toml allows of a package."""
    (specifier,) = DEPENDENCIES[name].specifier
    assert specifier.operator == "=="
    return specifier.version


def test_the_six_packages_of_the_course_are_named_in_environment_yml():
    named = {Requirement(line).name for line in BY_PIP if not line.startswith("-e")}
    assert named == {"jupyterlab", "torch", "triton", "ipywidgets", "matplotlib", "nbval"}


@pytest.mark.parametrize("line", [line for line in BY_PIP if not line.startswith("-e")])
def test_environment_yml_pins_as_pyproject_does(line):
    assert Requirement(line) == DEPENDENCIES[Requirement(line).name]


def test_environment_yml_installs_the_course_itself():
    # repo2docker installs neither pyproject.toml nor requirements.txt beside an environment.yml;
    # a pip entry that begins with `-e .` is what makes it copy the repository in first.
    assert "-e .[dev]" in BY_PIP
    assert "dev" in PROJECT["optional-dependencies"]


def test_conda_brings_only_python_and_pip_and_the_python_is_supported():
    names = {re.match(r"[a-z]+", entry).group() for entry in CONDA if isinstance(entry, str)}
    assert names == {"python", "pip"}
    (python,) = (entry for entry in CONDA if str(entry).startswith("python="))
    assert python.partition("=")[2] in SpecifierSet(PROJECT["requires-python"])


def test_torch_and_triton_are_the_pair_of_the_cuda_wheel():
    assert pin("triton") == TRITON_OF_TORCH[pin("torch")]


@pytest.mark.parametrize("name", ["torch", "triton"])
def test_what_is_installed_here_is_what_is_pinned(name):
    # 2.13.0+cpu and 2.13.0 are builds of one version.
    assert importlib.metadata.version(name).partition("+")[0] == pin(name)


OTHERS = [Requirement(text) for text in PROJECT["optional-dependencies"]["others"]]


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_the_packages_of_others_are_pinned_and_leave_torch_and_triton_alone(other):
    try:
        installed = importlib.metadata.distribution(other.name)
    except importlib.metadata.PackageNotFoundError:
        if os.environ.get("CI"):
            raise
        pytest.skip(f'{other.name} is not installed; pip install -e ".[others]"')
    assert other.specifier == SpecifierSet(f"=={installed.version}")
    for text in installed.requires or ():
        asked = Requirement(text)
        if asked.name in ("torch", "triton") and (asked.marker is None or asked.marker.evaluate()):
            assert asked.specifier.contains(pin(asked.name))


def test_triton_is_asked_for_only_where_it_has_wheels():
    assert DEPENDENCIES["triton"].marker.evaluate({"platform_system": "Linux"})
    assert not DEPENDENCIES["triton"].marker.evaluate({"platform_system": "Darwin"})


def test_the_installer_accepts_the_pythons_that_pyproject_accepts():
    supported = SpecifierSet(PROJECT["requires-python"])
    accepted = [minor for minor in range(6, 20) if f"3.{minor}" in supported]
    assert ((3, accepted[0]), (3, accepted[-1])) == (install.OLDEST, install.NEWEST)


def test_the_installer_reads_the_pin_of_torch():
    assert install.pinned_torch(install.requirements_in(ROOT / "pyproject.toml")) == pin("torch")


def test_the_devcontainer_has_a_supported_python_and_installs_the_same_way():
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text()
    (python,) = re.findall(r"python:(\d+\.\d+)-", text)
    assert python in SpecifierSet(PROJECT["requires-python"])
    assert "python3 gpu_utils/_dev/install.py" in text
