"""Input health: is what comes into the models still the world, or a fault on the way?

A fault of the input explains whatever a model says of it, so these findings can mute the others.
"""
