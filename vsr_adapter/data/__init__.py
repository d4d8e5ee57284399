"""Data sets of clips, their loaders and the data module."""
