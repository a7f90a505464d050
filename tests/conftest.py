"""What holds for all tests: a busy machine is no failure of a property."""

from hypothesis import settings

settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
