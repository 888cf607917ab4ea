"""Facts about the machine and its software that need neither a GPU nor an import of torch."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from gpu_utils.parity.facts import Reading, Unknown, Value

__all__ = ["read"]

_TOOL_LIMIT_S = 20.0


def read() -> Reading:
    """The host, the versions of what is installed, and the environment variables that matter."""
    return {
        "host.cpu": _cpu(),
        "host.cores": os.cpu_count() or Unknown("the system does not say"),
        "host.memory_bytes": _memory_bytes(),
        "host.system": f"{platform.system()} {platform.machine()}",
        "host.kernel": platform.release() or Unknown("the system does not say"),
        "host.name": platform.node() or Unknown("the system does not say"),
        "python.version": platform.python_version(),
        **{f"{name}.version": _version(name) for name in ("numpy", "torch", "triton")},
        "triton.ptxas": _ptxas("ptxas"),
        "triton.ptxas_blackwell": _ptxas("ptxas-blackwell"),
        **_environment(os.environ),
    }


def _cpu() -> Value | Unknown:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError as error:
        return platform.processor() or Unknown(f"/proc/cpuinfo: {error.strerror}")
    return platform.processor() or Unknown("the system gives its CPU no name")


def _memory_bytes() -> Value | Unknown:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return Unknown("the system does not say")


def _version(package: str) -> Value | Unknown:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return Unknown(f"{package} is not installed")


def _ptxas(name: str) -> Value | Unknown:
    """The version of an assembler that Triton brings; which one it takes depends on the target."""
    override = os.environ.get(f"TRITON_{name.upper().replace('-', '_')}_PATH")
    spec = importlib.util.find_spec("triton")
    if spec is None or spec.origin is None:
        return Unknown("triton is not installed")
    path = Path(override or Path(spec.origin).parent / "backends" / "nvidia" / "bin" / name)
    if not path.is_file():
        return Unknown(f"this Triton brings no {name}")
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_TOOL_LIMIT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Unknown(f"{name} --version: {type(error).__name__}")
    found = re.search(r"\bV(\d+\.\d+\.\d+)", done.stdout)
    return found[1] if found else Unknown(f"{name} --version does not say")


def _environment(variables: Mapping[str, str]) -> Reading:
    """Variables that change code, numbers or speed, without the paths that some of them hold."""
    allocator = variables.get("PYTORCH_ALLOC_CONF", variables.get("PYTORCH_CUDA_ALLOC_CONF"))
    return {
        "triton.environment": _chosen(variables, "TRITON_"),
        "environment.nccl": _chosen(variables, "NCCL_"),
        "environment.allocator": allocator,
        "environment.cuda_module_loading": variables.get("CUDA_MODULE_LOADING"),
        "environment.mps": "CUDA_MPS_PIPE_DIRECTORY" in variables,
    }


def _chosen(variables: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Those with the prefix. A path says where things lie, not what they do, and may be private."""
    return {
        name: value
        for name, value in sorted(variables.items())
        if name.startswith(prefix) and "/" not in value and "\\" not in value
    }
