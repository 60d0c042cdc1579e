"""Who sends what to whom; every byte is counted."""
