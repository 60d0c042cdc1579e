"""Merging: statistics, assignment, average, repair of normalization."""
