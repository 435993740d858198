"""Model assertions: conditions that a model's outputs must meet, and what is done when they do not.

Kang et al., "Model Assertions for Monitoring and Improving ML Models", MLSys 2020.
"""

from operators.assertions.api import Assertion, Check, Moment, MomentBatch
from operators.assertions.consistency import ConsistencyAssertion
from operators.assertions.correction import Corrector, CorrectorSettings
from operators.assertions.function import FunctionAssertion, assertion
from operators.assertions.monitor import Monitor, Monitored, MonitorSettings

__all__ = [
    "Assertion",
    "Check",
    "ConsistencyAssertion",
    "Corrector",
    "CorrectorSettings",
    "FunctionAssertion",
    "Moment",
    "MomentBatch",
    "Monitor",
    "MonitorSettings",
    "Monitored",
    "assertion",
]
