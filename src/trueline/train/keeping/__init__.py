"""Keeping an aligned model aligned while it is fine-tuned on other data: one mitigation a file, each off unless asked for."""
