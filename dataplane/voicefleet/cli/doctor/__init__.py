"""`voicefleet doctor`: what is wrong with a fleet, and how to mend it."""
