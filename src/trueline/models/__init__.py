"""Adapters of `ChatModel` over the wire and wrappers round it. No torch."""
