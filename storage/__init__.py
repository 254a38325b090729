"""What is remembered: tools, runs and results in SQLite. Knows the models of `tools`."""
