"""Fleets' files: read with the place of everything in them, and held against the schema and rules of the CRDs."""
