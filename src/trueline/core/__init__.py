"""Messages, ports and frozen records that all rooms share. What happened? Look here."""
