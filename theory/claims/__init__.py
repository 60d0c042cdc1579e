"""The register of claims: what is said, the checks that each rests on, the audit, and the verdicts."""
