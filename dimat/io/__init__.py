"""Files with checksums, and what must be imported with care."""
