"""Tables, migrations and the decision log. Open it with `store.database.open_store`; each subject has a module of small functions."""
