"""Grammars of the bank's world: tens of thousands of subjects a kind, where a list has a hundred. For teaching alone."""
