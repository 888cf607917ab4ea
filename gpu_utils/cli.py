"""`ridge`: the course in a terminal. Each command is a thin shell over gpu_utils.course."""

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from gpu_utils import course
from gpu_utils.course import units
from gpu_utils.course.verdict import Verdict

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

Lab = Annotated[str, typer.Argument(help="A lab or one of its tasks: lab00, lab00:a")]


def _show(text: object, colours: dict[str, str] | None = None) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, markup=False)
    for line in str(text).splitlines():
        sign = line.strip()[:1]
        console.print(line, style=(colours or {}).get(sign))


@app.command()
def check(
    what: Lab,
    side: Annotated[
        str | None, typer.Option(help="labs, solutions, or the path of a lab file")
    ] = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds a task may take")] = None,
) -> None:
    """Judge a lab. Exit code 0 only if every task passed."""
    verdict: Verdict = course.check(what, side=side, time_limit_s=time_limit)
    _show(verdict, {"✓": "green", "✗": "dark_orange"})
    raise typer.Exit(0 if verdict.passed else 1)


@app.command()
def status() -> None:
    """Where you stand: the last state of each task."""
    _show(course.status(), {"✓": "green", "✗": "dark_orange"})


@app.command()
def hint(what: Lab, number: Annotated[int, typer.Argument(help="Which hint: 1, 2, 3")] = 1) -> None:
    """Show a task's hint; each says a little more."""
    _show(course.hint(what, number))


@app.command()
def reset(what: Lab) -> None:
    """Put a lab's starter back; your file is kept in labs/.backup/."""
    _show(course.reset(what))


@app.command()
def record(
    what: Annotated[str, typer.Argument(help="A lab: lab00")],
    to: Annotated[Path | None, typer.Option(help="The folder to write the recording to")] = None,
) -> None:
    """Measure a lab's solution on this machine's GPU, and keep the recording."""
    from gpu_utils.course import cases
    from gpu_utils.recordings import AutotunedError, NoGPUError, WrongResultError

    try:
        path, found = cases.record(what, to)
    except (AutotunedError, NoGPUError, WrongResultError) as error:
        print(f"ridge: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    _show("\n".join([*map(str, found), f"kept in {path}"]))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open JupyterLab on the first lesson. Further arguments go to JupyterLab."""
    from gpu_utils.course import server

    server.start(context.args)


def main() -> None:
    """Entry point: an expected mistake is one line, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without ✓ shows ? and the word
            stream.reconfigure(errors="replace")
    try:
        app()
    except (units.UnknownName, OSError, ValueError) as error:
        print(f"ridge: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
