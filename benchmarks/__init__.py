"""How long a merge takes and how much memory, next to the passes over images that it cannot do without."""
