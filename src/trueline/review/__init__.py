"""Queue, ratings and console pages. Who overrode it? Look here."""
