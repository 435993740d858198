"""Training beside a running flow: rounds from the retraining queue to the model registry."""
