"""Pages of docs/reference that are made from the code, so that they cannot be wrong (`scripts/check --fix`)."""
