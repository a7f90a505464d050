"""Readers and writers of conversations, preferences and evaluations; splits, deduplication and provenance."""
