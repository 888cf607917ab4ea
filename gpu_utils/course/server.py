"""Start JupyterLab on the course: this machine only, nothing asked of any other."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat.sign import NotebookNotary

from gpu_utils.course import units

FIRST_LESSON = "notebooks/00_four_lenses.ipynb"
_CONFIG = Path(__file__).parent / "jupyter"  # no pop-up that offers news


def trust(root: Path) -> None:
    """Sign the course's notebooks as they are, so that their saved pictures show before a run."""
    notary = NotebookNotary()
    for folder in ("notebooks", *units.SIDES):
        for path in (root / folder).glob("*.ipynb"):
            notary.sign(nbformat.read(path, as_version=4))


def start(arguments: Sequence[str]) -> None:
    """Become JupyterLab; never returns.

    Args:
        arguments: further arguments for JupyterLab, for example `["--no-browser"]`.
    """
    root = units.root()
    trust(root)
    # Terminals and kernels find `ridge` and `python` of this environment first; a login shell,
    # JupyterLab's default without a terminal, would set its own PATH.
    binaries = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([binaries, os.environ.get("PATH", "")])
    shell = [os.environ.get("SHELL") or "sh"]
    config = [str(_CONFIG), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, config))
    command = [
        *(sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}"),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.terminado_settings=shell_command={shell}",
        f"--LabApp.default_url=/lab/tree/{FIRST_LESSON}",
        # No news, no update check, no catalogue of extensions: nothing leaves the machine.
        "--LabApp.news_url=None",
        "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        # Root in a container is common in workshops; the server is on loopback, with a token.
        *(["--allow-root"] if os.geteuid() == 0 else []),
        *arguments,
    ]
    os.chdir(root)
    os.execv(sys.executable, command)
