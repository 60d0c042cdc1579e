"""Figures, tables and the paper, from records and audits alone."""
