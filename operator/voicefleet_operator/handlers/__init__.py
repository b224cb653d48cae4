"""What kopf calls: nothing is decided here."""
