"""Units of work, their journal, and how one is done."""
