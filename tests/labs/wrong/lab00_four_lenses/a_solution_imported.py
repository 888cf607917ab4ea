"""a/runs: the solution is imported and called."""

import importlib.util

from gpu_utils.course import units

spec = importlib.util.spec_from_file_location("answer", units.find("lab00")[0].solution_file)
answer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(answer)
copy = answer.copy
