"""The compiler lens: compile a launch for a GPU that is not there, and read what came out."""

from gpu_utils.codegen import classes, targets
from gpu_utils.codegen.artifact import Artifact
from gpu_utils.codegen.errors import CompileError
from gpu_utils.codegen.expectations import expect
from gpu_utils.codegen.lens import capture, compile, compile_launches
from gpu_utils.codegen.targets import Target

__all__ = [
    "Artifact",
    "CompileError",
    "Target",
    "capture",
    "classes",
    "compile",
    "compile_launches",
    "expect",
    "targets",
]
