"""Local models with torch: loading, templates, sampling, log-probabilities, serving."""

import os

# Before torch: OpenMP threads that spin while they wait starve each other on a machine that does anything else. Two cores
# beside a training run: 2 replies a second spinning, 25 passive. Whoever sets the variable keeps what they set.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
