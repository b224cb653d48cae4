"""`voicefleet load`: real calls that nobody speaks in, and what they cost, lost and waited for."""
