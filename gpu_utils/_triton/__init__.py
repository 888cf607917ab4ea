"""All contact with Triton's internals: launches caught, kernels interpreted, kernels compiled.

Nothing outside this package reads a name that Triton does not document, so a new Triton
version is a change here and nowhere else. A version that nobody tested is said once, at import.
"""

import warnings

import triton

from gpu_utils._triton.versions import untested

if said := untested(triton.__version__):
    warnings.warn(said, stacklevel=2)
