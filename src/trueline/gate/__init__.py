"""The release decision. Why was it not released? Look here."""
