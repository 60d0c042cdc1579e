"""Statistics of normalization, recomputed on images that agents may look at."""
