"""Bounds on decentralized learning: derived by machine, and held against the library's own methods."""
