"""Losses: tensors in, per-example tensors out; the caller reduces."""
