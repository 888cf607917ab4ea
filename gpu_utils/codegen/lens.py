"""The compiler lens: what would the launches of a callable become on a GPU?"""

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, overload

from gpu_utils.codegen import cache, child, targets
from gpu_utils.codegen.artifact import Artifact
from gpu_utils.codegen.errors import CompileError, from_diagnosis, from_ending
from gpu_utils.codegen.targets import Target

if TYPE_CHECKING:  # Triton is imported at the first use, not by `import gpu_utils.codegen`
    from gpu_utils._triton.compiler import GPUTarget, RawArtifact
    from gpu_utils._triton.launches import Launch

__all__ = ["capture", "compile", "compile_launches"]

DEFAULT_LIMIT_S = 120.0


def capture(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "list[Launch]":
    """Call `fn(*args, **kwargs)` and return the launches that it makes; none of them runs.

    Raises:
        TypeError: `fn` is itself a kernel.
        ValueError: it launched nothing.
    """
    from triton.runtime.jit import JITFunction

    from gpu_utils._triton import devices, launches

    name = getattr(fn, "__name__", repr(fn))
    if isinstance(fn, JITFunction):
        raise TypeError(f"{name} is a kernel; pass the function that launches it, which knows the "
                        "grid and the options")  # fmt: skip
    caught: list[Launch] = []
    with devices.answered(), launches.intercept(caught.append):
        fn(*args, **kwargs)
    if not caught:
        why = "; TRITON_INTERPRET is set, unset it" if os.environ.get("TRITON_INTERPRET") else ""
        raise ValueError(f"{name} launched no Triton kernel: expected at least one "
                         f"kernel[grid](...) for these arguments{why}")  # fmt: skip
    return caught


def _gpu_target(target: Target) -> "GPUTarget":
    from gpu_utils._triton import compiler

    return compiler.GPUTarget(target.backend, target.arch, target.warp_size)


def _refusal(raw: "RawArtifact", target: Target) -> str:
    """Return what Triton says when it is asked to launch `raw` on `target`; "" if it fits."""
    from gpu_utils._triton import compiler

    limits = [
        (raw.shared_bytes, target.shared_limit_bytes, "shared memory"),
        (raw.tensor_memory_columns, target.tensor_memory_columns, "tensor memory"),
        (raw.num_warps * target.warp_size, target.threads_limit, "threads"),
    ]
    for required, limit, resource in limits:
        if required > limit:
            return compiler.out_of_resources(required, limit, resource)
    return ""


def _read(kernel: str, raw: "RawArtifact", target: Target) -> Artifact:
    """Return the artifact that describes what the compiler returned for `kernel`."""
    from gpu_utils.codegen import disassemble

    if raw.cubin:
        text = disassemble.sass(raw.cubin)
        asm = {**raw.asm, "sass": text}
        resources = disassemble.ptxas_resources(raw.ptxas_log)
        instructions = disassemble.sass_instructions(text)
    else:
        asm = raw.asm
        resources = disassemble.amdgcn_resources(asm["amdgcn"], raw.kernel)
        instructions = disassemble.amdgcn_instructions(asm["amdgcn"])
    widths = disassemble.widths(instructions)
    return Artifact(
        target=target.name,
        kernel=kernel,
        instructions=instructions,
        load_widths=widths.loads,
        store_widths=widths.stores,
        async_copy_widths=widths.async_copies,
        registers=resources.registers,
        spill_bytes=resources.spill_bytes,
        local_bytes=resources.local_bytes,
        shared_bytes=raw.shared_bytes,
        num_warps=raw.num_warps,
        compiler=raw.compiler,
        tensor_memory_columns=raw.tensor_memory_columns,
        num_stages=raw.num_stages,
        fits_message=_refusal(raw, target),
        asm=asm,
    )


def _compile_here(launch: "Launch", target: Target) -> str:
    """Compile in this process, a child; return JSON of the artifact or of the diagnosis."""
    from gpu_utils._triton import compiler

    try:
        raw = compiler.compile_launch(launch, _gpu_target(target))
    except Exception as error:
        return json.dumps({"diagnosis": dataclasses.asdict(compiler.diagnose(error, launch))})
    return json.dumps({"artifact": _read(launch.name, raw, target).to_json()})


def _outcome(
    launch: "Launch", target: Target, ending: child.Ending, limit_s: float
) -> Artifact | CompileError:
    name, file = launch.name, launch.file
    if ending.value is None:
        return from_ending(name, file, target.name, ending, limit_s)
    answer = json.loads(ending.value)
    if "artifact" in answer:
        return Artifact.from_json(answer["artifact"])
    return from_diagnosis(name, file, target.name, **answer["diagnosis"], log=ending.log)


def _entry(launch: "Launch", target: Target) -> str | CompileError:
    """Return the name of the cache entry; finding it can already show what is wrong."""
    from gpu_utils._triton import compiler

    try:
        special = compiler.specialization(launch, _gpu_target(target))
    except Exception as error:
        said = compiler.diagnose(error, launch)
        return from_diagnosis(launch.name, launch.file, target.name, said.reason, said.line)
    return cache.key(special, repr(target), compiler.toolchain())


def compile_launches(
    launches: "Sequence[Launch]",
    wanted: Sequence[str | Target],
    *,
    limit_s: float = DEFAULT_LIMIT_S,
) -> dict[str, list[Artifact | CompileError]]:
    """Compile each launch for each target, what is not cached in parallel children.

    Args:
        launches: from `capture`.
        wanted: names of targets.
        limit_s: seconds that one compilation may take.

    Returns:
        Name of the target -> one entry per launch, in order. A launch that does not compile
        has a `CompileError` in its place.
    """
    chosen = list(dict.fromkeys(targets.get(name) for name in wanted))
    known: dict[str, Artifact | CompileError] = {}
    missing: dict[str, tuple[Launch, Target]] = {}
    table: dict[str, list[str]] = {target.name: [] for target in chosen}
    for target in chosen:
        for index, launch in enumerate(launches):
            entry = _entry(launch, target)
            name = entry if isinstance(entry, str) else f"{target.name} {index}"
            found = cache.load(entry) if isinstance(entry, str) else entry
            if found is not None:
                known[name] = found
            else:
                missing[name] = (launch, target)
            table[target.name].append(name)
    if missing:
        works = [functools.partial(_compile_here, *pair) for pair in missing.values()]
        endings = child.run_all(works, limit_s=limit_s)
        for (name, (launch, target)), ending in zip(missing.items(), endings, strict=True):
            outcome = _outcome(launch, target, ending, limit_s)
            if isinstance(outcome, Artifact):
                cache.store(name, outcome)
            known[name] = outcome
    return {name: [known[entry] for entry in entries] for name, entries in table.items()}


@overload
def compile(
    fn: Callable[..., Any], /, *args: Any, target: str | Target, **kwargs: Any
) -> list[Artifact]: ...
@overload
def compile(
    fn: Callable[..., Any], /, *args: Any, target: Sequence[str | Target], **kwargs: Any
) -> dict[str, list[Artifact]]: ...
def compile(
    fn: Callable[..., Any],
    /,
    *args: Any,
    target: str | Target | Sequence[str | Target],
    **kwargs: Any,
) -> list[Artifact] | dict[str, list[Artifact]]:
    """Compile every launch that `fn(*args, **kwargs)` makes, as it would be for `target`.

    Nothing runs, and no GPU is needed. The arguments may be meta tensors, which have a shape
    and an alignment but no memory. The first compile of a launch takes a good half second a
    target, later ones are read from disk.

    Args:
        fn: calls `kernel[grid](...)`; the only keyword that is kept from it is `target`.
        target: a name such as "sm_90", or a list of names.

    Returns:
        One `Artifact` per launch, in order; for a list of targets, a dict from the target's
        name to such a list.

    Raises:
        CompileError: a launch does not compile, or the compiler crashed or hung.
        ValueError: an unknown target, or `fn` launched no kernel.
    """
    names = [target] if isinstance(target, str | Target) else target
    chosen = [targets.get(name) for name in names]  # before `fn` runs, which may take long
    compiled = compile_launches(capture(fn, *args, **kwargs), chosen)
    artifacts: dict[str, list[Artifact]] = {}
    for name, outcomes in compiled.items():
        artifacts[name] = []
        for outcome in outcomes:
            if isinstance(outcome, CompileError):
                raise outcome
            artifacts[name].append(outcome)
    return artifacts if names is target else artifacts[chosen[0].name]
