"""Every target, by its name."""

from __future__ import annotations

from tests.fuzz import file_targets, model_targets, record_targets, text_targets, web_targets

TARGETS = {
    target.name: target
    for module in (record_targets, text_targets, file_targets, model_targets, web_targets)
    for target in module.TARGETS
}
"""All that reads input of strangers."""
