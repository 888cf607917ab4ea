"""Controls above a drawing: a thin shell, whose answer a plain function gives as well.

A control's change redraws at once: the drawing is a small SVG string in an HTML widget, which
costs less than a millisecond where a new matplotlib figure costs hundreds.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from gpu_utils.viz import roofline_lines

__all__ = ["Explorer", "choice", "slider", "switch"]

# What ipywidgets leaves out: a slider's name, its value as it is shown, that the answer changes,
# and keys that JupyterLab takes for its own (an arrow in a list would go to the next cell, an "a"
# would insert one). A style's load event is where a widget's HTML can act; the observer sees what
# is drawn later. With a modifier, as in Shift+Enter, a key is JupyterLab's as everywhere.
_ACCESS = """
const box = this.closest('.ridge-explorer');
if (!box || box.hasAttribute('role')) return;  // gone before it was loaded, or loaded again
const set = (node, name, value) => {
    if (node && node.getAttribute(name) !== value) node.setAttribute(name, value);
};
const say = () => {
    set(box, 'role', 'group');
    set(box, 'aria-label', this.dataset.name);
    set(box.querySelector('.ridge-answer'), 'role', 'status');
    set(box.querySelector('.ridge-answer'), 'aria-live', 'polite');
    for (const slider of box.querySelectorAll('.widget-slider')) {
        const label = slider.querySelector('.widget-label');
        const value = slider.querySelector('.widget-readout');
        const handle = slider.querySelector('[role=slider]');
        set(handle, 'aria-label', label.title || label.textContent);
        set(handle, 'aria-valuetext', value.textContent);
        set(value, 'contenteditable', 'false');
    }
};
const keys = event => event.target.toggleAttribute('data-lm-suppress-shortcuts',
    !(event.ctrlKey || event.metaKey || event.altKey || event.shiftKey));
box.addEventListener('focusin', () => window.addEventListener('keydown', keys, true));
box.addEventListener('focusout', () => window.removeEventListener('keydown', keys, true));
new MutationObserver(say).observe(box, {childList: true, subtree: true});
say();
"""
_STYLE = """
.ridge-explorer .noUi-handle:focus-visible { outline: 2px solid var(--jp-brand-color1, #2196f3); }
"""


class Picture(Protocol):
    """What an explorer shows: a drawing, and what it says, line by line."""

    svg: str
    text: str
    lines: tuple[roofline_lines.Line, ...]


_LABEL = {"description_width": "66px"}  # controls one below the other then begin in one line


class Explorer:
    """Controls, a drawing and its answer in words, together in a notebook.

    As text it is the drawing's text; saved in a notebook, it is the drawing as it was last shown.

    Args:
        name: What a screen reader calls it.
        draw: Makes the drawing of the controls' values, which it gets by name.
        rows: Controls of ipywidgets by name, row by row.
    """

    def __init__(
        self,
        name: str,
        draw: Callable[[Mapping[str, Any]], Picture],
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        import ipywidgets

        self.controls = {key: control for row in rows for key, control in row.items()}
        self._draw = draw
        self._picture, self._answer = ipywidgets.HTML(), ipywidgets.HTML()
        self._answer.add_class("ridge-answer")
        script = html.escape(_ACCESS, quote=True)
        style = f'<style data-name="{html.escape(name)}" onload="{script}">{_STYLE}</style>'
        wrap = ipywidgets.Layout(flex_flow="row wrap")
        self.widget = ipywidgets.VBox(
            [
                *(ipywidgets.HBox([*row.values()], layout=wrap) for row in rows),
                *(self._picture, self._answer, ipywidgets.HTML(style)),
            ]
        )
        self.widget.add_class("ridge-explorer")
        for control in self.controls.values():
            control.observe(self._redraw, "value")
        self._redraw()

    def _redraw(self, _change: Any = None) -> None:
        self.drawing: Any = self._draw({key: each.value for key, each in self.controls.items()})
        self._picture.value = self.drawing.svg
        self._answer.value = roofline_lines.drawn(self.drawing.lines)

    def __repr__(self) -> str:
        return self.drawing.text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {
            **self.widget._repr_mimebundle_(),
            "text/plain": repr(self),
            "text/html": f"{self.drawing.svg}{roofline_lines.drawn(self.drawing.lines)}",
        }


def choice(name: str, options: Sequence[str], value: str) -> Any:
    """A list to choose one from."""
    import ipywidgets

    return ipywidgets.Dropdown(
        options=[*options],
        value=value,
        description=name,
        style=_LABEL,
        layout=ipywidgets.Layout(width="200px"),
    )


def switch(name: str) -> Any:
    """A box that is ticked to begin with."""
    import ipywidgets

    layout = ipywidgets.Layout(width="auto", margin="2px 16px 2px 2px")
    return ipywidgets.Checkbox(value=True, description=name, indent=False, layout=layout)


def slider(name: str, options: Sequence[int], value: int, meaning: str) -> Any:
    """A slider over numbers, of which `value` is one if it was none before."""
    import ipywidgets

    return ipywidgets.SelectionSlider(
        options=sorted({*options, value}),
        value=value,
        description=name,
        tooltip=f"{name}: {meaning}",
        style=_LABEL,
        layout=ipywidgets.Layout(width="264px"),
    )
