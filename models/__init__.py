"""Models: the assets they come from, and the detectors built on them."""
