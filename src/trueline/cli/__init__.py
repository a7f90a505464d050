"""The command line: parse, wire, call; one file a verb. The only place where the rooms meet."""
