"""Notes: what a part plays, in seconds and in beats.

Pitches are MIDI numbers counted from the song's own tuning; times are seconds.
"""
