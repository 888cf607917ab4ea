"""A throw-away JupyterLab, started as `ridge lab` starts it, and a hand that works in it.

What ran is read from the notebook's model, not from the page: a cell outside the window may not
be drawn, and a warning is drawn like a traceback.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Playwright, Route

__all__ = ["Browser", "Cell", "Editor", "Notebook", "Server", "launch", "serve"]

# A test has 300 s before pytest ends the whole run.
START_S = 60  # for what happens before and between runs, ten times what it takes on two cores
RUN_S = 120  # for running all cells
USERS_OWN = ("JUPYTER", "IPYTHON", "RIDGE", "TRITON", "XDG", "PYTHONSTARTUP")
QUIET = (
    *("--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

# The hand inside the page, as `ridge` there.
HAND = """window.ridge = {
    front: () => jupyterapp.shell.currentWidget,
    kernel: () => ridge.front()?.sessionContext?.session?.kernel,
    // The toolbar says "idle" seconds before there is a kernel, and drops what is run meanwhile.
    idle: () => {
        const kernel = ridge.kernel();
        return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
    },

    cells: () => ridge.front().content.widgets.map(({model}) => ({
        kind: model.type,
        source: model.sharedModel.getSource(),
        count: model.executionCount ?? null,
        outputs: model.outputs?.toJSON() ?? [],
    })),

    within: (seconds, what, promise) => Promise.race([promise, new Promise((_, reject) =>
        setTimeout(() => reject(new Error(`${what}: not done in ${seconds} s`)), seconds * 1e3))]),

    run: (command, index, seconds) => {
        if (index !== null) ridge.front().content.activeCellIndex = index;
        return ridge.within(seconds, command, jupyterapp.commands.execute(command));
    },

    begin: index => { ridge.run('notebook:run-cell', index, 3600); },

    evaluate: async (expression, seconds) => {
        const request = {code: '', store_history: false, user_expressions: {it: expression}};
        const reply = ridge.kernel().requestExecute(request).done;
        const {it} = (await ridge.within(seconds, expression, reply)).content.user_expressions;
        return it.data?.['text/plain'] ?? `${it.ename}: ${it.evalue}`;
    },

    // The quotes keep the echo of what is typed from looking like what is printed.
    terminal: async (command, seconds) => {
        const terminal = await jupyterapp.serviceManager.terminals.startNew();
        let text = '';
        const ended = new Promise(resolve => terminal.messageReceived.connect((_, message) => {
            if (message.type === 'stdout') text += message.content.join('');
            if (text.includes('THE END')) resolve(text);
        }));
        terminal.send({type: 'stdin', content: [`${command}; echo THE' 'END\\r`]});
        try { return await ridge.within(seconds, command, ended); }
        finally { await terminal.shutdown(); }
    },

    // Each text that a cell's outputs show, and its contrast (WCAG 2) with what is behind it.
    contrasts: index => {
        const pixel = Object.assign(document.createElement('canvas'), {width: 1, height: 1})
            .getContext('2d', {willReadFrequently: true});
        const luminance = colours => {  // of colours painted one over the other
            for (const colour of ['white', ...colours]) {
                pixel.fillStyle = colour;
                pixel.fillRect(0, 0, 1, 1);
            }
            const [r, g, b] = [...pixel.getImageData(0, 0, 1, 1).data].map(v => v / 255)
                .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const contrast = holder => {
            const behind = [];
            for (let element = holder; element; element = element.parentElement)
                behind.unshift(getComputedStyle(element).backgroundColor);
            const ink = getComputedStyle(holder)[holder.closest('svg') ? 'fill' : 'color'];
            const [a, b] = [luminance([...behind, ink]), luminance(behind)];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        };
        const found = [];
        const cell = ridge.front().content.widgets[index].node;
        for (const output of cell.querySelectorAll('.jp-OutputArea-output')) {
            const texts = document.createTreeWalker(output, NodeFilter.SHOW_TEXT);
            while (texts.nextNode()) {
                const {data, parentElement: holder} = texts.currentNode, text = data.trim();
                if (text && holder.checkVisibility() && !holder.closest('style, script, title'))
                    found.push([text, contrast(holder)]);
            }
        }
        return found;
    },

    theme: theme => jupyterapp.commands.execute('apputils:change-theme', {theme}),

    unfold: async () => {
        await jupyterapp.commands.execute('notebook:show-all-cell-outputs');
        for (const fold of ridge.front().node.querySelectorAll('.jp-OutputArea-output details'))
            fold.open = true;
    },

    // From the window's top to the last cell: below it JupyterLab leaves room to scroll into.
    height: async () => {
        const {node, widgets} = ridge.front().content;
        const frame = () => new Promise(requestAnimationFrame);
        await frame().then(frame);
        node.querySelector('.jp-WindowedPanel-outer').scrollTop = 0;
        return Math.ceil(widgets.at(-1).node.getBoundingClientRect().bottom) + 60;
    },
};"""


@dataclass(frozen=True)
class Server:
    """A running JupyterLab: the course it serves, and where a browser finds it."""

    course: Path
    workspaces: Path
    url: str
    token: str

    def address(self, path: str = "") -> str:
        """Where a notebook opens, in a fresh workspace; without a path what `ridge lab` opens."""
        return f"{self.url}{f'lab/tree/{path}?reset&' if path else '?'}token={self.token}"

    def forget_workspaces(self) -> None:
        """Remove what JupyterLab would reopen, as on the evening of its first start."""
        shutil.rmtree(self.workspaces, ignore_errors=True)


@contextlib.contextmanager
def serve(course: Path, home: Path) -> Iterator[Server]:
    """Run `ridge lab` for a newcomer: an empty home, no settings, its own port and token."""
    kept = {name: v for name, v in os.environ.items() if not name.startswith(USERS_OWN)}
    environment = kept | {
        "HOME": str(home),
        "SHELL": "/bin/bash",
        "PYTHONPATH": str(course),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "RIDGE_PROGRESS_DIR": str(home / "progress"),
        "RIDGE_CACHE_DIR": str(home / "cache"),
    }
    command = [
        *(sys.executable, "-c", "from gpu_utils.cli import main; main()", "lab"),
        *("--no-browser", "--LabApp.expose_app_in_browser=True"),
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]
    with open(home / "server.log", "wb") as log:
        process = subprocess.Popen(
            command, cwd=course, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        # `ridge lab` becomes JupyterLab: the process stays the same, and so names the file.
        info = _started(home / "runtime" / f"jpserver-{process.pid}.json", process, home)
        yield Server(course, home / "workspaces", info["url"], info["token"])
    finally:
        process.terminate()  # JupyterLab then ends its kernels
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _started(file: Path, process: subprocess.Popen, home: Path) -> dict[str, Any]:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        # The file is written when the server already listens, but not in one go.
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            return json.loads(file.read_text("utf-8"))
        time.sleep(0.1)
    raise RuntimeError("`ridge lab` did not start:\n" + (home / "server.log").read_text("utf-8"))


@dataclass(frozen=True)
class Cell:
    """One cell as the notebook's model holds it."""

    index: int
    kind: str
    source: str
    count: int | None
    outputs: list[dict[str, Any]]

    @property
    def text(self) -> str:
        """Everything printed and shown, as plain text."""
        return "\n".join(
            output.get("text") or output.get("data", {}).get("text/plain", "")
            for output in self.outputs
        )

    @property
    def error(self) -> str:
        """The exception that the cell raised, if it did."""
        raised = (output for output in self.outputs if output["output_type"] == "error")
        return "; ".join(f"{output['ename']}: {output['evalue']}" for output in raised)


class _Front:
    """The tab in front."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def _ask(self, function: str, *arguments: Any) -> Any:
        return self.page.evaluate(f"arguments => ridge.{function}(...arguments)", arguments)

    def _wait(self, condition: str) -> None:
        self.page.wait_for_function(f"window.jupyterapp && ({condition})", timeout=START_S * 1e3)

    @property
    def path(self) -> str:
        """Its file's path below the course."""
        return self.page.evaluate("ridge.front().context.path")


class Editor(_Front):
    """A text file in JupyterLab's editor."""

    @property
    def text(self) -> str:
        """What the editor holds."""
        return self.page.evaluate("ridge.front().context.model.sharedModel.getSource()")

    def paste(self, text: str) -> None:
        """Select all and paste over it."""
        self.page.locator(".jp-FileEditor:visible .cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)

    def save_and_close(self) -> None:
        """Save with the keyboard, and go back to the notebook."""
        self.page.keyboard.press("Control+s")
        self._wait("!ridge.front().context.model.dirty")
        self._ask("run", "application:close", None, START_S)
        self._wait("ridge.kernel()")


class Notebook(_Front):
    """A notebook in JupyterLab with a live kernel."""

    @property
    def cells(self) -> list[Cell]:
        """All cells as they are now."""
        return [Cell(index, **cell) for index, cell in enumerate(self._ask("cells"))]

    def wait_until_idle(self) -> None:
        """Wait for a kernel that will really run what it is sent."""
        self._wait("ridge.idle()")

    def run(self, *cells: Cell) -> list[Cell]:
        """Run these cells, or without any all cells; return them as they then are."""
        if not cells:
            # A saved result must not be taken for one that was just made.
            self._ask("run", "notebook:clear-all-cell-outputs", None, START_S)
            self._ask("run", "notebook:run-all-cells", None, RUN_S)
        for cell in cells:
            self._ask("run", "notebook:run-cell", cell.index, RUN_S)
        self.wait_until_idle()
        now = self.cells
        return [now[cell.index] for cell in cells] or now

    def begin(self, cell: Cell) -> None:
        """Run a cell, and do not wait for its end."""
        self._ask("begin", cell.index)

    def interrupt(self, *cells: Cell) -> list[Cell]:
        """Stop what runs, as the toolbar's square does; return these cells as they then are."""
        self._ask("run", "notebook:interrupt-kernel", None, START_S)
        self.wait_until_idle()
        now = self.cells
        return [now[cell.index] for cell in cells]

    def evaluate(self, expression: str) -> str:
        """The repr of an expression's value in the kernel."""
        return self._ask("evaluate", expression, START_S)

    def terminal(self, command: str) -> str:
        """What a new terminal shows when a command is typed into it."""
        return self._ask("terminal", command, START_S)

    def follow_link(self, cell: Cell, path: str) -> Editor:
        """Click the cell's link to a file, and wait for the editor that opens."""
        name = path.rpartition("/")[2]
        cells = self.page.locator(".jp-NotebookPanel:visible .jp-Cell")
        cells.nth(cell.index).locator(f"a[href*='{name}']").first.click()
        self._wait(f"ridge.front().context?.path === '{path}' && ridge.front().context.isReady")
        return Editor(self.page)

    @property
    def notices(self) -> list[str]:
        """What JupyterLab has popped up over the page."""
        return self.page.locator(".Toastify__toast, .jp-Dialog").all_inner_texts()

    def contrasts(self, cell: Cell) -> list[tuple[str, float]]:
        """Each text that a cell's outputs show, and its contrast with what is behind it."""
        return [(text, ratio) for text, ratio in self._ask("contrasts", cell.index)]

    def unfold(self) -> None:
        """Open the outputs that wait for a prediction, and all details in outputs."""
        self._ask("unfold")

    def switch_to(self, theme: str) -> None:
        """Change JupyterLab's theme: "Light" or "Dark"."""
        self._ask("theme", f"JupyterLab {theme}")
        light = "true" if theme == "Light" else "false"
        self._wait(f"document.body.dataset.jpThemeLight === '{light}'")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    def picture(self, file: Path) -> None:
        """Save a picture of the whole notebook."""
        size = self.page.viewport_size
        assert size is not None
        height = size["height"]
        while (taller := self._ask("height")) > height:  # what was never drawn is a guess
            height = taller
            self.page.set_viewport_size({**size, "height": height})
        self.page.screenshot(path=file)
        self.page.set_viewport_size(size)


class Browser:
    """Chromium on one server. `troubles` holds its errors and its requests to elsewhere."""

    def __init__(self, context: BrowserContext, server: Server) -> None:
        self.context, self.server = context, server
        self.troubles: list[str] = []
        context.add_init_script(HAND)
        context.route("**/*", self._request)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.troubles.append(f"page error: {error.error}"))

    def _request(self, route: Route) -> None:
        if self._is_local(route.request.url):
            route.continue_()
        else:
            self.troubles.append(f"request to {route.request.url}")
            route.abort()

    def _is_local(self, url: str) -> bool:
        socket = self.server.url.replace("http://", "ws://")
        return url.startswith((self.server.url, socket, "data:", "blob:"))

    def _socket(self, url: str) -> None:
        if not self._is_local(url):
            self.troubles.append(f"web socket to {url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.troubles.append(f"console: {message.text} ({message.location['url']})")

    @contextlib.contextmanager
    def open(self, path: str = "") -> Iterator[Notebook]:
        """Open a notebook, or what `ridge lab` opens, and end its kernel afterwards."""
        if not path:
            self.server.forget_workspaces()
        page = self.context.new_page()
        page.on("websocket", lambda socket: self._socket(socket.url))
        page.goto(self.server.address(path), timeout=START_S * 1e3)
        notebook = Notebook(page)
        notebook.wait_until_idle()
        try:
            yield notebook
            page.evaluate("ridge.front().sessionContext.shutdown()")
        finally:
            page.close()


@contextlib.contextmanager
def launch(playwright: Playwright, chromium: str, server: Server) -> Iterator[Browser]:
    """Start Chromium without a window."""
    # Chromium refuses to put root into its sandbox.
    options = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    window = {"width": 1280, "height": 1000}
    with playwright.chromium.launch(executable_path=chromium, args=options) as browser:
        context = browser.new_context(viewport=window, reduced_motion="reduce")
        yield Browser(context, server)
