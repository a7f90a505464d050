"""The ASGI app: wire formats, keys and holds; one concern a file."""
