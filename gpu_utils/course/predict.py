"""Ask before showing: a guess costs nothing, and nothing waits for one."""

from typing import Any


class Prediction:
    """A question and perhaps a guess. Prints the same fixed line while there is no guess."""

    def __init__(self, id: str, question: str, guess: Any) -> None:
        self.id, self.question, self.guess = id, question, guess

    def __repr__(self) -> str:
        if self.guess is None:
            return f"{self.question}\nNo guess yet. Write one as guess=..., run this cell, go on."
        return f"{self.question}\nYour guess: {self.guess}. Run the next cell and compare."


def predict(id: str, question: str, guess: Any = None) -> Prediction:
    """Put a question to the learner without stopping the notebook.

    Args:
        id: `"00.1"`: the lesson and the question's number.
        question: what is asked.
        guess: whatever the learner writes; shown back, not judged.
    """
    return Prediction(id, question, guess)


def answer(id: str) -> None:
    """Open a folded result with a line that gives nothing away.

    JupyterLab shows the first line of a folded output; this is that line.
    """
    print(f"{id}: guess first, then open this")
