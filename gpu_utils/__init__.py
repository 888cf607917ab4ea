"""The instruments of Ridgepoint: four lenses on one Triton kernel, and the course around them.

Importing this package imports neither torch, triton nor matplotlib; the modules that need them do.
"""
