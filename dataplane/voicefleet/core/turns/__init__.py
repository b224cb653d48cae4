"""Whose turn it is, sans-IO: sounds and the time in, turns out.

`detector.TurnDetector` is the only thing that an agent talks to.
"""
