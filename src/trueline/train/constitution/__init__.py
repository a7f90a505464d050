"""Constitutional AI (2212.08073): critique and revision for the supervised phase, AI preferences for the phase after it."""
