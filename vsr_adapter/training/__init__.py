"""What Lightning runs: the module, the data module, callbacks, and checkpoints as files."""
