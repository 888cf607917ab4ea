"""An untested Triton is named once, and is no error."""

import subprocess
import sys

import pytest

from gpu_utils._dev.matrix.environments import MATRIX
from gpu_utils._triton.versions import TESTED, untested


def test_what_counts_as_tested_is_what_the_matrix_tests():
    assert tuple(each.triton.rpartition(".")[0] for each in MATRIX) == TESTED
    assert [untested(each.triton) for each in MATRIX] == [""] * len(MATRIX)


@pytest.mark.parametrize("version", ["3.5.1", "3.10.0", "4.0.0", "main"])
def test_another_version_is_named_beside_those_that_were_tested(version):
    said = untested(version)
    assert f"this is {version}" in said
    assert "Triton 3.6 to 3.9" in said


@pytest.mark.parametrize(("version", "warnings"), [("3.10.0", 1), ("3.8.2", 0)])
def test_the_import_warns_once_and_goes_on(version, warnings):
    code = (
        f"import triton; triton.__version__ = {version!r}; "
        "import gpu_utils._triton.launches, gpu_utils._triton.compiler; print('imported')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "imported\n"
    assert done.stderr.count("was tested with Triton") == warnings
