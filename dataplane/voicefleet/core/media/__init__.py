"""One call's audio, sans-IO: reception, loss recovery, the jitter buffer, paced sending, quality.

`stream.AudioStream` is the only thing that a session talks to.
"""
