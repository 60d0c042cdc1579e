"""Merging: match neurons, average, recalibrate; ``merge.py`` in a round, ``api.py`` given networks."""
