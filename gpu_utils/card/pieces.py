"""What a card's lines and cells are made of: words, code, and labelled numbers."""

import dataclasses
from typing import Literal

from gpu_utils.quantities import Label, Quantity

__all__ = ["SIGNS", "Bare", "Code", "Compiled", "Line", "Piece", "State", "Strong"]

State = Literal["reached", "failed", "noted", "unknown"]

# A sign and a word for each state: colour is never the only signal.
SIGNS: dict[State, str] = {"reached": "✓", "failed": "✗", "noted": "△", "unknown": "○"}


class Code(str):
    """A word of code: an instruction, a name."""


class Strong(str):
    """A word that the eye should find first."""


class Compiled(str):
    """Words that follow from what the compiler made, marked so that nbval leaves them out."""

    def __str__(self) -> str:
        return f"⟨{super().__str__()}⟩"


@dataclasses.dataclass(frozen=True)
class Bare:
    """A number whose label stands beside its neighbour."""

    quantity: Quantity

    def __str__(self) -> str:
        return self.quantity.text


Piece = str | Code | Strong | Compiled | Label | Quantity | Bare


@dataclasses.dataclass(frozen=True)
class Line:
    """One line; the first has no rung."""

    rung: str
    state: State
    pieces: tuple[Piece, ...]

    def __str__(self) -> str:
        text = "".join(map(str, self.pieces))
        return f"{SIGNS[self.state]} {self.rung:<8}{text}" if self.rung else text
