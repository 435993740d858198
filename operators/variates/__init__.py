"""The estimators of windowed aggregates: arithmetic only, all chance passed in."""

from operators.variates.allocation import allocate
from operators.variates.bounded import (
    bounded,
    certified,
    certified_within,
    confidence_sequence,
)
from operators.variates.cells import (
    cell_edges,
    crossed,
    difference_coefficient,
    draw_cells,
    jittered,
)
from operators.variates.growing import grown
from operators.variates.refinement import Refinement, refine
from operators.variates.sample import Asker, CellSample, Interval
from operators.variates.stopping import bernstein_half_width, blazeit, blazeit_sample
from operators.variates.uniform import ppi, tuned_coefficient, uniform

__all__ = [
    "Asker",
    "CellSample",
    "Interval",
    "Refinement",
    "allocate",
    "bernstein_half_width",
    "blazeit",
    "blazeit_sample",
    "bounded",
    "cell_edges",
    "certified",
    "certified_within",
    "confidence_sequence",
    "crossed",
    "difference_coefficient",
    "draw_cells",
    "grown",
    "jittered",
    "ppi",
    "refine",
    "tuned_coefficient",
    "uniform",
]
