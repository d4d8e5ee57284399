"""Video: probing, reading, writing, resizing, and the plan of windows."""
