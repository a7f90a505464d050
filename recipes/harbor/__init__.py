"""How the rehearsal model `bundled:harbor` is made: a small bank world, its corpus, and the training. Runnable, seeded."""
