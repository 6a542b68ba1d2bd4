"""Render songs as four stems whose tempo, key and harmony are known, from Debian packages alone."""
