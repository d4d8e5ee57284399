"""Tables and pictures of a test."""
