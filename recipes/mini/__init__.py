"""The small trained stack that `vsr predict` uses where no checkpoint is given."""
