"""Pure functions: no I/O, no model. What is the formula? Look here. Re-exports nothing, so that torch stays out."""
