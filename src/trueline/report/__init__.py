"""The clause matrix, scorecards, cards and evidence."""
