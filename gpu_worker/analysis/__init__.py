"""Music analysis of a song and its stems.

Conventions: audio is a float array of shape (samples,) or (samples, channels) in -1 to 1; times are seconds;
levels dBFS (a full-scale square wave is 0); frequencies Hz. What the music does not show is None, and the
record says why.
"""
