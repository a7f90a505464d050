"""What a charter compiles to: each clause's four duties, never written twice. Teach, test, guard, review."""
