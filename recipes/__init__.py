"""How the bundled model and the bundled heads were made; every recipe runs."""
