"""Pictures of machines and measurements: data in, one drawing out, readable in both themes."""

from gpu_utils.viz.machine import machine

__all__ = ["machine"]
