"""The run-time defence. Why was it stopped? Look here."""
