"""Bounds derived symbolically, problems with known constants, and the audit of one against the other."""
