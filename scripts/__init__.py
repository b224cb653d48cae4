"""What the project's scripts do in Python; run them as `scripts/NAME`."""
