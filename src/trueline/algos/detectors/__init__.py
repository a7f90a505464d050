"""Pure detectors over text: exact phrases and personal numbers."""
