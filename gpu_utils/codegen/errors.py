"""What is told when a kernel does not compile: the compiler's own sentence, where, what to try."""

import linecache
import re
import signal
from pathlib import Path

from gpu_utils.codegen.child import Ending

__all__ = ["CompileError", "from_diagnosis", "from_ending"]

_LONGEST = 300

# What to try, for the first pattern found in the compiler's words.
_HINTS = (
    (r"Cannot select: intrinsic|requires (?:tcgen05|NVIDIA)|not supported in this architecture",
     "{target} does not have this instruction or type: compile for a target that has it, or "
     "write the kernel without it"),
    (r"Insufficient registers", "raise maxnreg to the number it names, or leave it out"),
    (r"num_warps must be", "set num_warps to 1, 2, 4, 8 or 16"),
    (r"unrecogni[sz]ed", "compare the launch's keywords with the kernel's parameters and with "
     "num_warps, num_stages, num_ctas, maxnreg"),
    (r"failed to speciali[sz]e", "pass tensors, numbers, or descriptors of tensors to the kernel"),
    (r"global variable", "pass the value as an argument, or define it as tl.constexpr(...)"),
    (r"Unsupported function|is not defined", "a kernel can use its parameters, tl functions, and "
     "functions decorated with @triton.jit"),
    (r"power of 2", "round the size up with triton.next_power_of_2 and mask the rest"),
    (r"incompatible dimensions|shape", "write the shape beside each value; expand with [:, None] "
     "or [None, :]"),
)  # fmt: skip


class CompileError(RuntimeError):
    """A launch does not compile for a target.

    Attributes:
        kernel: name of the kernel.
        target: name of the target.
        reason: the compiler's own words, shortened.
        where: "file:line: `source`", empty if the compiler did not say.
        hint: what to try.
    """

    def __init__(self, kernel: str, target: str, reason: str, where: str, hint: str) -> None:
        super().__init__(kernel, target, reason, where, hint)
        self.kernel = kernel
        self.target = target
        self.reason = reason
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        lines = [f"{self.kernel} does not compile for {self.target}: {self.reason}"]
        if self.where:
            lines.append(f"  at {self.where}")
        return "\n".join([*lines, f"  try: {self.hint}"])


def _shorten(text: str) -> str:
    """Return `text` on one line, its first sentences if it is long."""
    text = " ".join(text.split())
    if len(text) <= _LONGEST:
        return text
    sentences = text[:_LONGEST].rpartition(". ")[0]
    return f"{sentences}." if sentences else text[:_LONGEST].rstrip() + " ..."


def _where(file: str, line: int) -> str:
    if not line:
        return ""
    source = linecache.getline(file, line).strip()
    return f"{Path(file).name}:{line}" + (f": `{source}`" if source else "")


def from_diagnosis(
    kernel: str, file: str, target: str, reason: str, line: int, log: str = ""
) -> CompileError:
    """Return the error for an exception of the compiler, whose details may be in its log."""
    if not line and log:
        # "PassManager::run failed" and the like: the sentence was printed, not raised.
        printed, line = _from_log(log, file)
        reason = printed or reason
    reason = _shorten(reason)
    hints = [hint for pattern, hint in _HINTS if re.search(pattern, reason)]
    if line:
        hints.append("correct this line")
    hints.append("leave out what the launch asks for beyond the defaults (num_stages, maxnreg, "
                 "warp_specialize, ...) and put it back one by one")  # fmt: skip
    hint = hints[0].format(target=target)
    return CompileError(kernel, target, reason, _where(file, line), hint)


def _from_log(log: str, file: str) -> tuple[str, int]:
    """Return the sentence in which a compiler's log names the mistake, and its line in `file`.

    Either is empty, or 0, where the log has none.
    """
    located = re.findall(r"^(\S+?):(\d+):\d+: error: (.*)", log, re.MULTILINE)
    located = [found for found in located if "Failures have been detected" not in found[2]]
    line = next((int(number) for name, number, _ in located if name == file), 0)
    fatal = re.search(r"LLVM ERROR: .*|Assertion `.*' failed", log)
    if fatal:
        return fatal[0], line
    return (located[0][2] if located else ""), line


def from_ending(
    kernel: str, file: str, target: str, ending: Ending, limit_s: float
) -> CompileError:
    """Return the error for a child that ended without an answer."""
    if ending.timed_out:
        hint = (
            "use a smaller block, and tl.range in place of tl.static_range: what is unrolled is "
            "compiled once per turn"
        )
        return CompileError(
            kernel, target, f"the compiler gave no answer in {limit_s:g} s", "", hint
        )
    if ending.signal == signal.SIGKILL:
        reason = "the compiler was killed, most likely for want of memory"
        hint = "use a smaller block, or close what else uses memory"
        return CompileError(kernel, target, reason, "", hint)
    said, line = _from_log(ending.log, file)
    if ending.signal:
        name = signal.Signals(ending.signal).name
        reason = f"the compiler aborted ({name})" + (f": {said}" if said else "")
    else:
        last = ending.log.strip().splitlines()[-1:]
        reason = said or (last[0] if last else "the compiler left without a word")
    return from_diagnosis(kernel, file, target, reason, line)
