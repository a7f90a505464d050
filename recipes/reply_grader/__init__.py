"""How the general reply grader is made: `python -m recipes.reply_grader` (needs the public data, seconds on one core)."""
