"""Labs: the field's laws on the bundled world, whose reward is exact. Every figure stands in docs/labs.md."""
