"""Halves of characters (lone surrogates): JSON may spell them, no file can hold them. Found where a server cuts a reply at a token, and in
hostile text."""

from __future__ import annotations


def whole(value: object) -> object:
    """The same JSON value with a replacement character for each half of one."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [whole(v) for v in value]
    return {str(whole(k)): whole(v) for k, v in value.items()} if isinstance(value, dict) else value
