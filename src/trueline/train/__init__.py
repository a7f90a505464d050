"""One readable loop a method, on shared batching and checkpointing."""
