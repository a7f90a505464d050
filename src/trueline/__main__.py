"""`python -m trueline` is the same as `trueline` (so `torchrun -m trueline train ...` works)."""

from trueline.cli.main import main

main()
