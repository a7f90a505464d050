"""Attacks: transformations and searches that try to make a target break a clause."""
