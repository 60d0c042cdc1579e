"""Which neurons of two networks go together."""
