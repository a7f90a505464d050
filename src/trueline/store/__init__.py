"""Tables, migrations and the decision log."""
