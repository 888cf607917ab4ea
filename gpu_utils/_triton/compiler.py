"""Compile a launch for a GPU that is not there: the only contact with Triton's compiler.

A driver that knows its target but owns no device lets Triton's own `warmup` do all that a
launch does before it runs: it looks at the real arguments (is the pointer divisible by 16, is
the stride 1, does the tensor end within 2 GiB) and compiles for exactly those.
"""

import contextlib
import dataclasses
import io
import os
import re
import tempfile
from collections.abc import Iterator
from typing import Any

import triton
import triton.compiler.compiler as triton_compiler
from triton import knobs
from triton._C.libtriton import get_cache_invalidating_env_vars
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler.errors import CompilationError
from triton.runtime import driver
from triton.runtime.errors import OutOfResources, PTXASError
from triton.runtime.jit import JITCallable

from gpu_utils._triton.launches import Launch

__all__ = [
    "Diagnosis",
    "GPUTarget",
    "OfflineDriver",
    "RawArtifact",
    "compile_launch",
    "diagnose",
    "driven_by",
    "offline",
    "out_of_resources",
    "specialization",
    "tool",
    "toolchain",
]


@dataclasses.dataclass(frozen=True)
class RawArtifact:
    """What the compiler returned, before anything is read out of it.

    `asm` holds the texts "ttgir" and "ptx", or "ttgir" and "amdgcn". `cubin`, and `ptxas_log`
    with what `ptxas -v` says of registers and spills, are empty for AMD.
    """

    kernel: str
    asm: dict[str, str]
    cubin: bytes
    ptxas_log: str
    shared_bytes: int
    tensor_memory_columns: int
    num_warps: int
    num_stages: int
    compiler: str


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What an exception of the compiler says; `line` is in the kernel's file, 0 if unknown."""

    reason: str
    line: int = 0


class OfflineDriver(DriverBase):
    """Answers what the compiler asks a driver, for a device that does not exist."""

    def __init__(self, target: GPUTarget) -> None:
        super().__init__()
        self.target = target

    @classmethod
    def is_active(cls) -> bool:
        return False

    def map_python_to_cpp_type(self, ty: str) -> str:
        return ty

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> str:
        # Triton keys its in-memory kernels by this value, so each target needs its own.
        return f"offline:{self.target.backend}:{self.target.arch}"

    def get_current_stream(self, device: Any) -> int:
        return 0

    def get_active_torch_device(self) -> Any:
        import torch

        return torch.device("meta")

    def get_benchmarker(self) -> Any:
        raise RuntimeError("nothing can be timed on a target that is only compiled for")


@contextlib.contextmanager
def driven_by(stand_in: DriverBase) -> Iterator[None]:
    """While active, Triton asks `stand_in` about the current device."""
    # `active` would look for a real device; `_active` is what set_active replaces.
    before = driver._active
    driver.set_active(stand_in)
    try:
        yield
    finally:
        driver._active = before


def offline(target: GPUTarget) -> contextlib.AbstractContextManager[None]:
    """While active, Triton believes that a GPU of kind `target` is the current device."""
    return driven_by(OfflineDriver(target))


@contextlib.contextmanager
def _private_cache() -> Iterator[None]:
    """Give Triton an empty cache directory and a key that costs nothing.

    Results are kept in our own cache. In a directory that is thrown away the key need not hash
    the 300 MB of the compiler's library, which takes 0.3 s (1 s from a cold disk).
    """
    names = triton_compiler.get_cache_key.__globals__
    with tempfile.TemporaryDirectory() as directory, knobs.cache.scope():
        knobs.cache.dir = directory
        full_key = names["triton_key"]
        names["triton_key"] = lambda: triton.__version__
        try:
            yield
        finally:
            names["triton_key"] = full_key


@contextlib.contextmanager
def _ptxas_log() -> Iterator[io.StringIO]:
    """Collect what is printed meanwhile, the log of ptxas included."""
    with knobs.nvidia.scope(), contextlib.redirect_stdout(io.StringIO()) as printed:
        knobs.nvidia.dump_ptxas_log = True
        yield printed


def _compiler_name(target: GPUTarget) -> str:
    name = f"triton {triton.__version__}"
    return f"{name}, ptxas {get_ptxas(target.arch).version}" if target.backend == "cuda" else name


def compile_launch(launch: Launch, target: GPUTarget) -> RawArtifact:
    """Compile what `launch` would compile if the current device were a `target`.

    Args:
        launch: its arguments may be meta or CPU tensors, host descriptors, numbers.
        target: for example `GPUTarget("cuda", 90, 32)`.

    Raises:
        Exception: whatever Triton raises. Some inputs make the compiler abort the process:
            call this in a child process.
    """
    with offline(target), _private_cache(), _ptxas_log() as log:
        # What this process has compiled already would come without the log of ptxas.
        launch.kernel.device_caches.pop(driver.active.get_current_device(), None)
        built = launch.kernel.warmup(grid=launch.grid, **launch.arguments, **launch.options)
        metadata = built.metadata
        wanted = ("ttgir", "ptx") if target.backend == "cuda" else ("ttgir", "amdgcn")
        return RawArtifact(
            kernel=metadata.name,
            asm={name: built.asm[name] for name in wanted},
            cubin=built.asm["cubin"] if target.backend == "cuda" else b"",
            ptxas_log=log.getvalue() if target.backend == "cuda" else "",
            shared_bytes=metadata.shared,
            tensor_memory_columns=getattr(metadata, "tmem_size", None) or 0,
            num_warps=metadata.num_warps,
            num_stages=metadata.num_stages,
            compiler=_compiler_name(target),
        )


def _name_callables(value: Any) -> Any:
    """Replace functions passed as constexpr by the hash of their source."""
    if isinstance(value, JITCallable):
        return value.cache_key
    if isinstance(value, list | tuple):
        return [_name_callables(item) for item in value]
    return value


def specialization(launch: Launch, target: GPUTarget) -> str:
    """Return text that is equal for two launches exactly when they compile to the same code.

    It is Triton's own key: the source of the kernel and of all it calls, each argument's type
    and specialisation, the values of constexprs, and the options.
    """
    with offline(target):
        device = driver.active.get_current_device()
        binder = launch.kernel.device_caches[device][-1]
        _, specialized, options = binder(**launch.arguments, **launch.options)
    named = _name_callables(specialized)
    return f"{launch.kernel.cache_key} {named} {sorted(options.items())} {launch.kernel.debug}"


def toolchain() -> str:
    """Name the Triton version and the environment variables that change what it emits."""
    settings = {**get_cache_invalidating_env_vars()}
    settings.update((k, v) for k, v in os.environ.items() if k.startswith("TRITON_"))
    return f"triton {triton.__version__} {sorted(settings.items())}"


def tool(name: str) -> str:
    """Return the path of a tool that comes with Triton: "nvdisasm", for example."""
    return getattr(knobs.nvidia, name).path


def out_of_resources(required: int, limit: int, resource: str) -> str:
    """Return the text with which Triton refuses a launch that needs too much of `resource`."""
    return str(OutOfResources(required, limit, resource))


def _own_words(error: BaseException) -> str:
    """Return an exception's message; Triton sometimes keeps the repr of another exception."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, CompilationError):
        text = error.error_message or str(error.__cause__ or "")
    quoted = re.fullmatch(r"(\w+)\((['\"])(.*?)\2,?\)", text.strip(), re.DOTALL)
    text = f"{quoted[1]}: {quoted[3]}" if quoted else text.strip()
    return re.sub(r" at 0x[0-9a-f]+", "", text) or type(error).__name__


def _ptxas_words(error: PTXASError) -> str:
    # "ptxas x.ptx, line 34; error   : ...", "ptxas fatal   : (C7602) ...": padded before the colon
    found = re.findall(r"(?:error|fatal)\s+: (?:\(\w+\) )?(.*)", str(error))
    said = [line.strip() for line in found if "assembly aborted" not in line]
    return "ptxas: " + (said[0] if said else str(error).splitlines()[0])


def diagnose(error: BaseException, launch: Launch) -> Diagnosis:
    """Return what `error`, raised while compiling `launch`, says, and at which line."""
    if isinstance(error, PTXASError):
        return Diagnosis(_ptxas_words(error))
    if not isinstance(error, CompilationError):
        return Diagnosis(_own_words(error))
    kernel = launch.kernel
    starts = [i for i, line in enumerate(kernel.raw_src) if re.match(r"\s*def\s", line)]
    line = kernel.starting_line_number + (starts or [0])[0] + getattr(error.node, "lineno", 1) - 1
    # A mistake in a function that the kernel calls arrives as a chain, the kernel outermost.
    inner = error
    while isinstance(inner.__cause__, CompilationError):
        inner = inner.__cause__
    reason = _own_words(inner)
    if inner is not error and inner.src:
        called = re.match(r"def\s+(\w+)", inner.src)
        written = inner.src.splitlines()[inner.node.lineno - 1].strip()
        reason += f" (in {called[1] if called else 'a function it calls'}: `{written}`)"
    return Diagnosis(reason, line)
