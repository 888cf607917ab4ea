"""The environment's fingerprint: what must be equal before two measurements can be compared.

>>> from gpu_utils import parity
>>> here = parity.fingerprint(use_torch=False)
>>> here.facts["python.version"] is not None, here.unknown["torch.cuda"]
(True, 'torch was not asked')
"""

from gpu_utils.parity.facts import FACTS, Fact, Policy, Unknown
from gpu_utils.parity.fingerprint import Fingerprint
from gpu_utils.parity.read import fingerprint, under_load

__all__ = ["FACTS", "Fact", "Fingerprint", "Policy", "Unknown", "fingerprint", "under_load"]
