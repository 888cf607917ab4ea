"""What the rungs ask of a task without a kernel: functions that take numbers and return an answer.

PYTEST_DONT_REWRITE: learners read these messages, and pytest would add its own lines to them.
"""

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any


def called(fn: Callable, *args: Any) -> str:
    """A call as it would be written: `bound(OpCost(4096, 1024), h100-sxm5-80gb, 'fp32')`."""
    return f"{fn.__name__}({', '.join(map(shown, args))})"


def shown(arg: Any) -> str:
    """An argument, in few characters: a part by its id, an OpCost and a float in short digits."""
    if hasattr(arg, "flops") and hasattr(arg, "bytes"):
        return f"{type(arg).__name__}({arg.flops:g}, {arg.bytes:g})"
    if inspect.isfunction(arg):
        return arg.__name__
    return f"{arg:g}" if isinstance(arg, float) else getattr(arg, "id", repr(arg))


def returned(fn: Callable, kind: type, *args: Any) -> Any:
    """What `fn` returns, which must be a `kind`."""
    found = fn(*args)
    assert isinstance(found, kind), (
        f"{called(fn, *args)} must return {kind.__name__}(...); it returned {found!r}"
    )
    return found


def refused(fn: Callable, args: tuple, errors: tuple, *names: str) -> None:
    """`fn(*args)` raises one of `errors`, and its message has one of `names`."""
    kinds = " or ".join(error.__name__ for error in errors)
    try:
        found = fn(*args)
    except Exception as error:
        told = f"{called(fn, *args)} raises {type(error).__name__}: {error}"
        right, text = isinstance(error, errors), str(error)
    else:
        raise AssertionError(f"{called(fn, *args)} must raise {kinds}; it returned {found!r}")
    assert right, f"{told}. It must refuse, with a {kinds} that says what is wrong"
    # "m" is no part of "must"; "bandwidth" may be one of a longer name.
    named = any(re.search(rf"(?<![a-zA-Z]){re.escape(name)}(?![a-zA-Z])", text) for name in names)
    assert named, f"{told}. Name what is wrong: {' or '.join(names)} is missing in the message"


def own_work(fn: Callable, solution: Path, course: ModuleType, *args: Any) -> None:
    """`fn(*args)` gets by without the functions of a course module and without the solution."""
    mine, borrowed = fn.__code__.co_filename, []
    ours = {
        function.__code__: f"{course.__name__}.{name}"
        for name, function in vars(course).items()
        if inspect.isfunction(function)
    }

    def watch(frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code in ours:
            borrowed.append(ours[code])
        elif event == "call" and code.co_filename == str(solution) != mine:
            borrowed.append(f"the solution's {code.co_name}")

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        fn(*args)
    finally:
        sys.setprofile(before)
    assert not borrowed, (
        f"{fn.__name__} calls {borrowed[0]}, which is what it is to be compared with: "
        "write the arithmetic yourself"
    )


def written(lab: Any, cases: dict[str, tuple], kind: type) -> None:
    """Every function of a task is there; those that are not are named once one is."""
    missing: dict[str, NotImplementedError] = {}
    for name, args in cases.items():
        try:
            returned(getattr(lab, name), kind, *args)
        except NotImplementedError as error:
            missing[name] = error
    if missing and len(missing) == len(cases):
        raise next(iter(missing.values()))  # not started
    done = ", ".join(name for name in cases if name not in missing)
    assert not missing, f"still to be written: {', '.join(missing)}; {done} ran"
