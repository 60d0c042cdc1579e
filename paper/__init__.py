"""Figures, tables and the paper, from records and audits alone."""

import os

# A notebook sets one that may not be installed here; it is read when matplotlib is imported.
os.environ["MPLBACKEND"] = "svg"
