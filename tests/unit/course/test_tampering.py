"""A lab file that works on its judge instead of its kernel is told so, and does not pass."""

import pytest

from gpu_utils.course import guard, units
from tests.unit.course.labfiles import GOOD_KERNEL, judge_files

SOLUTION = units.find("lab00")[0].solution_file
WRONG_COPY = GOOD_KERNEL.replace("x_ptr + offs, mask=mask)", "x_ptr + offs, mask=mask) + 1")
PATCHES = {
    "traffic": "from gpu_utils import traffic\ntraffic.count = lambda fn, *a: None",
    "a method of traffic": (
        "from gpu_utils.traffic.memory import CountingMemory\nCountingMemory.load = None"
    ),
    "the code of a rung": (
        "from gpu_utils.course import rungs\n"
        "rungs.equal.__code__ = (lambda fn, expected, *args: None).__code__"
    ),
    "a constant": "from gpu_utils.course import verdict\nverdict.SIGNS['failed'] = '✓'",
    "the tolerance": "from gpu_utils import tolerance\ntolerance.exact = lambda *a: None",
    "pytest": "import pytest\npytest.fail = print",
    "pytest's runner": "import _pytest.runner\n_pytest.runner.call_and_report = print",
    "torch": "torch.equal = lambda a, b: True",
    "torch.Tensor": "torch.Tensor.any = lambda self, *a: False",
    "torch.testing": "torch.testing.assert_close = lambda *a, **k: None",
    "numpy": "import numpy\nnumpy.count_nonzero = lambda a: 4",
    "triton": "triton.runtime.jit.JITFunction.run = lambda *a, **k: None",
    "a builtin": "import builtins\nbuiltins.abs = lambda x: 0",
    "random": "import random\nrandom.SystemRandom = random.Random",
    "the tests": (
        "tests = next(m for n, m in sys.modules.items() if n.endswith('test_lab00_four_lenses'))\n"
        "tests.LENGTHS = (4096,)"
    ),
    "the reference": (
        "answer = next(m for n, m in sys.modules.items() if n.startswith('ridge_lab_lab00'))\n"
        "answer.axpby_reference = lambda *a: a[1]"
    ),
}
PRYING = {
    "sys._getframe": "sys._getframe(1)",
    "inspect": "__import__('inspect').stack()",
    "a traceback": "_frame_of(ValueError())",
    "every frame": "sys._current_frames()",
    "every object": "__import__('gc').get_objects()",
    "a trace": "sys.settrace(print)",
    "a solution": f"open({str(SOLUTION)!r})",
    "a solution's module": f"__import__('runpy').run_path({str(SOLUTION)!r})",
    "a file of the course": f"open({guard.__file__!r}, 'a')",
    "the cache": "_into_the_cache()",
}
WAYS = """
def _frame_of(error):
    try:
        raise error
    except ValueError as caught:
        return caught.__traceback__.tb_frame.f_back

def _into_the_cache():
    from gpu_utils.codegen import cache
    cache.directory().mkdir(parents=True, exist_ok=True)
    cache._write(cache.directory() / "forged.json", b"{}")
"""
COPY_IT = "copy = good_copy\n"
CALL_IT = "    return good_copy(x)\n"
REPORT = (
    '{"unit": "lab00", "side": SIDE, "task": "a", "title": "", '
    '"rungs": [{"rung": "runs", "state": "passed", "evidence": []}]}'
)
# What the file does -> the state, the rung, and words that the message must hold.
OTHERWISE = {
    "a judge patched in a call": (
        WRONG_COPY + "def copy(x):\n    from gpu_utils import tolerance\n"
        "    tolerance.exact = lambda *a: None\n" + CALL_IT,
        "failed", "runs", "gpu_utils.tolerance.exact",
    ),
    "looking and keeping quiet about it": (
        GOOD_KERNEL + "def copy(x):\n    try: sys._getframe(1)\n    except Exception: pass\n"
        + CALL_IT, "failed", "runs", "looks at what calls it",
    ),
    "forged messages": (
        "import json, os\n"
        "for number in range(3, 200):\n"
        "    for message in ({'start': 0}, {'done': True}):\n"
        "        try: os.write(number, json.dumps(message).encode() + b'\\n')\n"
        "        except OSError: pass\n"
        "os._exit(0)\n", "crashed", "runs", "checker's own pipe",
    ),
    "a killed keeper": (
        "import os, time\nos.kill(os.getppid(), 9); time.sleep(60)\n",
        "crashed", "runs", "watches over the check",
    ),
    "a verdict of its own": (
        WRONG_COPY + f"import json\nline = {REPORT!r}.replace('SIDE', json.dumps(__file__))\n"
        "report = next(a for a in sys.argv if '--ladder-report' in a).partition('=')[2]\n"
        "open(report, 'a').write(line + '\\n')\n" + COPY_IT,
        "crashed", "runs", "more than one verdict",
    ),
    "a memo that looks at the version": (
        GOOD_KERNEL + "kept = {}\n"
        "def copy(x):\n"
        "    key = x.data_ptr(), x._version, x.shape, x.dtype\n"
        "    if key not in kept:\n"
        "        kept[key] = x, good_copy(x)\n"
        "    return kept[key][1]\n", "failed", "correct", "",
    ),
    "a partial function": (
        GOOD_KERNEL + "import functools\ncopy = functools.partial(good_copy)\n",
        "failed", "runs", "write `def copy(...)` there",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """All of them in one run: (table, name) -> TaskVerdict."""
    looks = "def copy(x):\n    {}\n" + CALL_IT
    texts = {
        **{("patch", k): f"{WRONG_COPY}{text}\n{COPY_IT}" for k, text in PATCHES.items()},
        **{("pry", k): GOOD_KERNEL + WAYS + looks.format(x) for k, x in PRYING.items()},
        **{("else", k): text for k, (text, *_) in OTHERWISE.items()},
    }
    return judge_files(tmp_path_factory.mktemp("tampering"), texts, time_limit_s=15)


@pytest.mark.parametrize("name", PATCHES)
def test_a_patched_judge_is_noticed(verdicts, name):
    stop = verdicts["patch", name].stopped_at
    assert stop is not None, f"{name} passed"
    assert stop.rung == "runs", stop
    # Without its runner pytest cannot say more than that it stumbled.
    assert "which is not its own" in stop.message or name == "pytest's runner", stop


@pytest.mark.parametrize("name", PRYING)
def test_a_file_that_looks_for_the_answer_is_told_so(verdicts, name):
    stop = verdicts["pry", name].stopped_at
    assert stop is not None, f"{name} passed"
    assert (stop.state, stop.rung) == ("failed", "runs"), stop
    assert stop.message.startswith("line "), stop


@pytest.mark.parametrize("name", OTHERWISE)
def test_other_ways_around_the_kernel_are_closed(verdicts, name):
    _, state, rung, words = OTHERWISE[name]
    stop = verdicts["else", name].stopped_at
    assert stop is not None, f"{name} passed"
    assert (stop.state, stop.rung) == (state, rung), stop
    assert words in stop.message, stop


def test_the_kernel_of_somebody_else_is_no_answer(tmp_path):
    (tmp_path / "elsewhere.py").write_text(GOOD_KERNEL, "utf-8")
    text = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport elsewhere\n"
    text += "def copy(x):\n    return elsewhere.good_copy(x)\n"
    stop = judge_files(tmp_path, {"lab": text})["lab"].stopped_at
    assert (stop.state, stop.rung) == ("failed", "runs")
    assert "write the kernel in file0.py" in stop.message
