"""Merging with permutations as a lift of the graph: its spectrum, and what permutations do to the gap."""
