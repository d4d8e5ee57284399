"""Mutation of what wires the package together: `python -m tests.mutants`, see docs/testing-the-code.md."""
