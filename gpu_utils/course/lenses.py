"""Which of the four lenses are live on this machine."""


class Lenses:
    """Prints one line a lens."""

    def __init__(self, gpu: str | None) -> None:
        self.gpu = gpu

    def __repr__(self) -> str:
        speed = f"live on {self.gpu}" if self.gpu else "no GPU here, so bounds are MODELLED"
        return f"check, traffic, codegen: live, they need no GPU\nspeed: {speed}"


def lenses() -> Lenses:
    """Look for a GPU, and say what can be known with and without it."""
    import torch

    return Lenses(torch.cuda.get_device_name() if torch.cuda.is_available() else None)
