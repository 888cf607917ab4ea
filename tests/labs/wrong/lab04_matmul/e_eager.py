"""e/runs: torch multiplies; no program stays, since none runs."""


def matmul_persistent(a, b, num_sms=132, config=None):
    return a @ b
