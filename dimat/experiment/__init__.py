"""A study: its configuration, ids, runs and their records."""
