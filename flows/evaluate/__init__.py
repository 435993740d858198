"""Evaluations: what Sightflow promises, measured against the truth."""
