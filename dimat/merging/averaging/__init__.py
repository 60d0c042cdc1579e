"""Averages of networks that stand alike."""
