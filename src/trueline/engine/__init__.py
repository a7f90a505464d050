"""Local models with torch: loading, templates, sampling, log-probabilities, serving."""
