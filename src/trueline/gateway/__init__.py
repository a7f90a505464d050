"""The ASGI app: wire formats, keys and holds; one concern a file. Build it with `gateway.app.build_app`."""
