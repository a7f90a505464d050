"""Pure detectors over text."""
