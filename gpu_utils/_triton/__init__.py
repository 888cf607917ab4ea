"""All contact with Triton's internals: launches caught, kernels interpreted, kernels compiled.

Nothing outside this package reads a name that Triton does not document, so a new Triton
version is a change here and nowhere else; `selftest` says which version broke what.
"""
