"""The search for a prompt: what may be changed, how candidates are scored, and which of them are asked further."""
