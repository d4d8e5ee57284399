"""Whole videos: windows and tiles of them, what these take of memory, and the Python door."""
