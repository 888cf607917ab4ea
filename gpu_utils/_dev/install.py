"""Make .venv and install Ridgepoint in it: the first step of `make lab` and of `make test`.

    python3 gpu_utils/_dev/install.py

With nothing changed since the last run it returns at once. RIDGE_TORCH=cpu (or cuda) overrides
the choice of torch, which otherwise follows from whether an NVIDIA GPU is there.

Standard library only, and Python 3.6 must be able to read this file, because an old Python has to
say that it is too old: hence `Optional[...]`, NamedTuple, and no newer syntax.
"""

import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Collection, Dict, Iterable, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote

__all__ = ["Candidate", "Place", "Refusal", "TorchChoice", "install", "main"]

OLDEST = (3, 11)
NEWEST = (3, 13)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
STAMP = "ridgepoint.json"
GB = 10**9

# A finished .venv is 2.3 GB for the CPU and 5.4 GB with CUDA; the downloads (0.7 and 2.9 GB) lie
# beside it twice, in pip's cache and in its temporary folder.
DISK_BYTES = {"cpu": 4 * GB, "cuda": 12 * GB}
# pip keeps every wheel in the temporary folder until all of them are there.
TEMPORARY_BYTES = {"cpu": 1 * GB, "cuda": 4 * GB}
# A changed requirement on top of a finished .venv.
UPDATE_BYTES = 1 * GB

# A process that has imported torch and Triton holds 0.3 GB before it computes; JupyterLab, one
# notebook and one check are three such. A machine sold as 4 GB shows less, hence 3.5 for "enough".
MEMORY_BYTES_LEAST = 18 * GB // 10
MEMORY_BYTES_ENOUGH = 35 * GB // 10


class Refusal(Exception):
    """Ridgepoint cannot be installed as things are; the text names the fix, in one line."""


class Candidate(NamedTuple):
    """A Python that could run the course."""

    path: str
    version: Tuple[int, int]
    makes_venvs: bool  # Debian puts venv and ensurepip in a package of their own


class Place(NamedTuple):
    """A folder that the installation fills."""

    path: str
    free_bytes: int
    needed_bytes: int


class TorchChoice(NamedTuple):
    """Which torch pip is asked for, beside what pyproject.toml pins."""

    flavour: str  # "cpu" or "cuda": what will be on the disk
    requirement: str
    extra_index: Optional[str]
    note: str


# Decisions: facts in, answer out.


def version_text(version: Iterable[int]) -> str:
    """Write (3, 11) as "3.11"."""
    return ".".join(map(str, version))


def check_platform(system: str, machine: str) -> None:
    """Refuse where no Triton wheel exists."""
    if system == "Darwin":
        raise Refusal(
            "Triton has no wheel for macOS: open this folder in its devcontainer (VS Code: Reopen "
            "in Container) or in a GitHub Codespace."
        )
    if system == "Windows":
        raise Refusal("Triton needs Linux: type `wsl --install` and clone the course inside WSL.")
    if system != "Linux" or machine not in ("x86_64", "aarch64"):
        raise Refusal(
            "torch and Triton have wheels for Linux on x86_64 and aarch64, and this is "
            f"{system} on {machine}: use a machine or a GitHub Codespace of that kind."
        )


def lacks_venv(python: Candidate) -> Refusal:
    """Name the Debian package that a Python without venv or ensurepip lacks."""
    return Refusal(
        f"{python.path} cannot make a .venv: the venv module is missing. Debian and Ubuntu: "
        f"sudo apt install python3-venv (or python{version_text(python.version)}-venv)."
    )


def choose_python(candidates: Iterable[Candidate]) -> Candidate:
    """Take the first Python that is new enough, not too new, and can make a .venv.

    Args:
        candidates: in order of preference; consumed only as far as needed.

    Raises:
        Refusal: none will do.
    """
    seen = []
    for candidate in candidates:
        seen.append(candidate)
        if OLDEST <= candidate.version <= NEWEST and candidate.makes_venvs:
            return candidate
    for candidate in seen:
        if OLDEST <= candidate.version <= NEWEST:
            raise lacks_venv(candidate)
    raise Refusal(
        f"Python {version_text(OLDEST)} to {version_text(NEWEST)} is needed; this is "
        f"{version_text(seen[0].version)}, and the PATH has no other. Debian: sudo apt install "
        "python3.11 python3.11-venv; elsewhere: https://www.python.org/downloads or pyenv."
    )


def check_memory(memory_bytes: int) -> Optional[str]:
    """Refuse a machine that would only swap; return a warning for one that is tight."""
    has = f"this machine or container has {memory_bytes / GB:.1f} GB of memory"
    if memory_bytes < MEMORY_BYTES_LEAST:
        raise Refusal(f"{has} and the course needs 4 GB: raise the limit or take a bigger one.")
    if memory_bytes < MEMORY_BYTES_ENOUGH:
        return f"{has}: keep one notebook open at a time, or give it 4 GB."
    return None


def check_disk(places: Iterable[Place], wanted: str) -> None:
    """Refuse where a folder would run full half-way."""
    smaller = ", or set RIDGE_TORCH=cpu" if wanted == "cuda" else ""
    for path, free, needed in places:
        if free < needed:
            raise Refusal(
                f"{path} has {free / GB:.1f} GB free and the installation needs about "
                f"{needed / GB:.0f} GB: free some, move it (TMPDIR) to a bigger disk{smaller}."
            )


def wanted_torch(has_gpu: bool, asked: str) -> str:
    """Say which torch suits this machine: "cuda" or "cpu".

    Args:
        has_gpu: whether an NVIDIA GPU is there.
        asked: the value of RIDGE_TORCH; empty or "auto" leaves the choice to the machine.
    """
    if asked not in ("", "auto", "cpu", "cuda"):
        raise Refusal(f"RIDGE_TORCH is {asked!r}: it may be cpu, cuda or auto.")
    if asked in ("cpu", "cuda"):
        return asked
    return "cuda" if has_gpu else "cpu"


def choose_torch(
    wanted: str, version: str, offered: Callable[[Optional[str]], Collection[str]]
) -> TorchChoice:
    """Decide which torch pip is asked for.

    Args:
        wanted: "cpu" or "cuda".
        version: the version that pyproject.toml pins, such as "2.13.0".
        offered: the versions of torch that pip finds as it is configured (None) or with an
            extra index. Asked only as far as needed: each question may go over the network.

    Raises:
        Refusal: pip finds this version nowhere.
    """
    if wanted == "cuda":
        # `===` compares text. By `==` pip would take 2.13.0+cpu, which counts as later than
        # 2.13.0, wherever its configuration offers one.
        return TorchChoice("cuda", f"torch==={version}", None, "torch with CUDA, about 3 GB")
    cpu = f"{version}+cpu"
    configured = offered(None)
    if cpu in configured:
        return TorchChoice("cpu", f"torch=={cpu}", None, "torch for the CPU, as pip is configured")
    with_index = offered(CPU_INDEX)
    if cpu in with_index:
        return TorchChoice("cpu", f"torch=={cpu}", CPU_INDEX, f"torch for the CPU, {CPU_INDEX}")
    if version in configured or version in with_index:
        note = "torch with CUDA, about 3 GB, because no build for the CPU is in reach"
        return TorchChoice("cuda", f"torch=={version}", None, note)
    raise Refusal(
        f"pip finds no torch {version} for this Python: connect to the network, behind a proxy "
        "set HTTPS_PROXY, with a mirror `pip config set global.index-url URL`."
    )


def progress_line(line: str) -> Optional[str]:
    """Turn a line of pip's output into one for a person, or into nothing."""
    download = re.match(r"\s*Downloading (\S+) \((\d+)(?:\.\d+)? (MB|GB)\)", line)
    if download and (download.group(3) == "GB" or int(download.group(2)) >= 20):
        name, version = unquote(download.group(1)).split("/")[-1].split("-")[:2]
        return f"Downloading {name} {version} ({download.group(2)} {download.group(3)})"
    unpack = re.match(r"Installing collected packages: (.*)", line)
    if unpack:
        return f"Unpacking {len(unpack.group(1).split(','))} packages, a minute or two"
    return None


# What pip prints, in order of how much it explains: a full disk also breaks connections.
CAUSES = (
    ("No space left on device|Disk quota exceeded", "the disk is full, free some space"),
    ("CERTIFICATE_VERIFY|SSLError", "a certificate is not trusted here, set PIP_CERT"),
    (
        "NewConnectionError|NameResolution|name resolution|[Tt]imed out|Timeout|ProxyError"
        "|Connection (refused|reset|aborted|broken)|Max retries|unreachable|IncompleteRead",
        "the network failed; connect, behind a proxy set HTTPS_PROXY, with a mirror "
        "`pip config set global.index-url URL`",
    ),
    (
        "No matching distribution|Could not find a version",
        "pip's index lacks a package for this Python; see `pip config list`",
    ),
    (
        "ResolutionImpossible",
        "packages that are asked for here rule each other out, or a constraint of pip's does; see "
        "`pip config list`",
    ),
    ("Permission denied", "a folder above is not yours to write"),
)


def diagnose(output: str, returncode: int) -> str:
    """Name the fix for a pip that failed."""
    if returncode in (-9, 137):
        return "it was killed, most likely for memory: close programs or raise the limit"
    for pattern, fix in CAUSES:
        if re.search(pattern, output):
            return fix
    return "the reason is above, and in full in .venv/install.log"


def stamp_text(requirements: Dict[str, Any], python: str, torch: str, root: str) -> str:
    """Write down what an installation depends on; a different text means install again.

    The root is part of it because a .venv that was moved or copied points at the old place.
    """
    listed = json.dumps(requirements, sort_keys=True).encode()
    digest = hashlib.sha256(listed).hexdigest()
    facts = {"requirements": digest, "python": python, "torch": torch, "root": root}
    return json.dumps(facts, indent=1, sort_keys=True) + "\n"


# Facts: what this machine is.


def probe_python(path: str) -> Optional[Candidate]:
    """Ask a Python what it is; None if it does not run (one of pyenv's shims may not)."""
    code = (
        "import sys, importlib.util as u; print(sys.executable, *sys.version_info[:2], "
        "all(map(u.find_spec, ('venv', 'ensurepip'))), sep='\\n')"
    )
    answer = subprocess.run([path, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if answer.returncode:
        return None
    executable, major, minor, makes_venvs = answer.stdout.decode().splitlines()
    return Candidate(executable, (int(major), int(minor)), makes_venvs == "True")


def python_candidates() -> Iterable[Candidate]:
    """Yield the Python that runs this, then those on the PATH that are known to work."""
    # With .venv activated it is the Python underneath that counts: .venv may have to be remade.
    path = getattr(sys, "_base_executable", None) or sys.executable
    makes_venvs = all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))
    yield Candidate(path, (sys.version_info[0], sys.version_info[1]), makes_venvs)
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        found = shutil.which(f"python3.{minor}")
        candidate = probe_python(found) if found else None
        if candidate:
            yield candidate


def has_nvidia_gpu() -> bool:
    """Tell whether an NVIDIA GPU can be used from here.

    The driver's /proc entry alone does not say so: a container shows its host's, without the GPU.
    """
    driver = os.path.exists("/proc/driver/nvidia/version")
    if driver and any(Path("/dev").glob("nvidia[0-9]*")):
        return True
    tool = shutil.which("nvidia-smi") or shutil.which("nvidia-smi", path="/usr/lib/wsl/lib")
    if not tool:
        return False
    try:
        answer = subprocess.run([tool, "-L"], capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and b"GPU " in answer.stdout


def memory_limit_bytes(
    meminfo: str = "/proc/meminfo",
    limits: Tuple[str, ...] = (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ),
) -> int:
    """Return the memory of this machine, or of this container where that is less."""
    kilobytes = Path(meminfo).read_text().partition("MemTotal:")[2].split()[0]
    total = int(kilobytes) * 1024
    for limit in map(Path, limits):
        text = limit.read_text().strip() if limit.exists() else "max"
        total = min(total, int(text)) if text.isdigit() else total
    return total


def places_to_fill(root: Path, flavour: str, update: bool) -> List[Place]:
    """List the folders that the installation fills, with what is free and what is needed."""
    needed = UPDATE_BYTES if update else DISK_BYTES[flavour]
    places = [Place(str(root), shutil.disk_usage(str(root)).free, needed)]
    temporary = tempfile.gettempdir()
    if os.stat(temporary).st_dev != os.stat(str(root)).st_dev:
        needed = min(needed, TEMPORARY_BYTES[flavour])
        places.append(Place(temporary, shutil.disk_usage(temporary).free, needed))
    return places


def requirements_in(pyproject: Path) -> Dict[str, Any]:
    """Return the parts of pyproject.toml that decide what is installed; a lint rule does not."""
    import tomllib  # Python 3.11; an older one never gets here

    parts = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    setuptools = parts.get("tool", {}).get("setuptools")
    return {"build": parts["build-system"], "project": parts["project"], "setuptools": setuptools}


def pinned_torch(requirements: Dict[str, Any]) -> str:
    """Return the version of torch that pyproject.toml pins."""
    for requirement in requirements["project"]["dependencies"]:
        if requirement.startswith("torch=="):
            return requirement[len("torch==") :]
    raise Refusal("pyproject.toml must pin torch exactly, as in torch==2.13.0.")


# Effects.


def say(text: str) -> None:
    """Tell the person at the terminal, at once."""
    print(text, flush=True)


def clean_environment() -> Dict[str, str]:
    """Return an environment in which pip installs into .venv whatever the user has configured."""
    dropped = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return dict(kept, PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")


def make_venv(venv: Path, python: Candidate, stale: bool) -> None:
    """Make .venv, anew if it is for another Python or another place."""
    say(f"Making .venv with Python {version_text(python.version)}")
    command = [python.path, "-m", "venv"] + (["--clear"] if stale else []) + [str(venv)]
    made = subprocess.run(command, capture_output=True, env=clean_environment())
    if made.returncode:
        output = (made.stdout + made.stderr).decode(errors="replace").strip()
        if "ensurepip" in output:
            raise lacks_venv(python)
        raise Refusal(f"`{' '.join(command)}` failed: " + output.split("\n")[-1])


def has_pip(python: Path) -> bool:
    """Tell whether .venv is there and its pip runs; one made by uv has none."""
    if not python.exists():
        return False
    command = [str(python), "-m", "pip", "--version"]
    return subprocess.run(command, capture_output=True, env=clean_environment()).returncode == 0


def torch_versions(python: Path, extra_index: Optional[str]) -> Collection[str]:
    """Ask pip which versions of torch it could install into .venv; none if it cannot say."""
    command = [str(python), "-m", "pip", "index", "versions", "torch"]
    command += ["--timeout", "5", "--retries", "1"]
    command += ["--extra-index-url", extra_index] if extra_index else []
    try:
        answer = subprocess.run(command, capture_output=True, env=clean_environment(), timeout=40)
    except subprocess.TimeoutExpired:
        return []
    found = re.search(r"Available versions: (.*)", answer.stdout.decode(errors="replace"))
    return found.group(1).split(", ") if found else []


def run_pip(root: Path, python: Path, choice: TorchChoice) -> None:
    """Install the course and its requirements into .venv; pip's own words go to a log."""
    command = [str(python), "-m", "pip", "install", "--progress-bar", "off"]
    command += ["-e", ".[dev]", choice.requirement]
    command += ["--extra-index-url", choice.extra_index] if choice.extra_index else []
    lines = []
    log = (root / ".venv" / "install.log").open("w", encoding="utf-8")
    streams = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}  # type: Dict[str, Any]
    streams.update(stdout=subprocess.PIPE, cwd=str(root), env=clean_environment())
    with log, subprocess.Popen(command, **streams) as pip:
        for raw in pip.stdout or ():
            line = raw.decode(errors="replace").rstrip()
            log.write(line + "\n")
            lines.append(line)
            progress = progress_line(line)
            if progress:
                say("  " + progress)
    if pip.returncode:
        for line in [line for line in lines if line.strip()][-6:]:
            say("  pip: " + line)
        raise Refusal("pip stopped: " + diagnose("\n".join(lines), pip.returncode) + ".")


def try_imports(python: Path, wanted: str) -> None:
    """Import what was installed: a missing system library shows here, not in the first lesson.

    matplotlib is among them because its first import lists the system's fonts, for seconds.
    """
    code = (
        "import torch, triton, matplotlib.font_manager; print(torch.__version__, "
        "triton.__version__, torch.version.cuda, torch.cuda.is_available())"
    )
    command = [str(python), "-W", "ignore", "-c", code]
    tried = subprocess.run(command, capture_output=True, env=clean_environment())
    if tried.returncode:
        why = tried.stderr.decode(errors="replace").strip().split("\n")[-1]
        raise Refusal(f"what was installed does not import: {why}")
    torch, triton, cuda, sees_gpu = tried.stdout.decode().split()
    say(f"Installed torch {torch} and Triton {triton}")
    if wanted == "cuda" and sees_gpu == "False":
        say(
            f"Note: torch sees no GPU. CUDA {cuda} may need a newer NVIDIA driver than the one "
            "nvidia-smi shows; all but timing works meanwhile."
        )


def is_stale(venv: Path, python: Candidate, old: Dict[str, str], root: Path) -> bool:
    """Tell whether an existing .venv is for another Python or was made in another place."""
    config = venv / "pyvenv.cfg"
    if not config.exists():
        return False
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", config.read_text(), re.M)
    other_python = found is None or found.group(1) != version_text(python.version)
    moved = old.get("root", str(root)) != str(root)
    return other_python or moved or not os.access(str(venv / "bin" / "python"), os.X_OK)


def bring_up_to_date(root: Path, python: Candidate, wanted: str, stamp: str, torch: str) -> None:
    """Make .venv what the stamp says, and stamp it."""
    started = time.monotonic()
    venv, venv_python = root / ".venv", root / ".venv" / "bin" / "python"
    if not os.access(str(root), os.W_OK):
        raise Refusal(f"{root} is not yours to write: clone the course into your home.")
    warning = check_memory(memory_limit_bytes())
    if warning:
        say(f"Note: {warning}")
    stamp_file = venv / STAMP
    old = json.loads(stamp_file.read_text()) if stamp_file.exists() else {}
    stale = is_stale(venv, python, old, root)
    update = not stale and old.get("torch") == wanted
    check_disk(places_to_fill(root, wanted, update), wanted)
    if stale or not has_pip(venv_python):
        make_venv(venv, python, stale)
    if stamp_file.exists():
        stamp_file.unlink()  # from here to the end .venv is neither the old one nor the new one
    choice = choose_torch(wanted, torch, lambda extra: torch_versions(venv_python, extra))
    check_disk(places_to_fill(root, choice.flavour, update), wanted)
    say(f"Installing the course and {choice.note}")
    run_pip(root, venv_python, choice)
    try_imports(venv_python, wanted)
    stamp_file.write_text(stamp)
    say(f"Ready after {time.monotonic() - started:.0f} s. The next start skips this.")


def install(root: Path) -> bool:
    """Install the course into .venv, unless that has been done.

    Returns:
        Whether there was anything to do.

    Raises:
        Refusal: it cannot be done as things are.
    """
    check_platform(platform.system(), platform.machine())
    python = choose_python(python_candidates())
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        os.execv(python.path, [python.path, os.path.abspath(__file__)])
    wanted = wanted_torch(has_nvidia_gpu(), os.environ.get("RIDGE_TORCH", ""))
    requirements = requirements_in(root / "pyproject.toml")
    stamp = stamp_text(requirements, version_text(python.version), wanted, str(root))
    stamp_file = root / ".venv" / STAMP
    runs = os.access(str(root / ".venv" / "bin" / "python"), os.X_OK)
    if runs and stamp_file.exists() and stamp_file.read_text() == stamp:
        return False
    bring_up_to_date(root, python, wanted, stamp, pinned_torch(requirements))
    return True


def main() -> int:
    """Install; if that cannot be done say why, in one line."""
    try:
        install(Path(__file__).resolve().parents[2])
    except Refusal as refusal:
        print(f"ridgepoint: {refusal} Then run the same command again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nridgepoint: stopped. The same command goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
