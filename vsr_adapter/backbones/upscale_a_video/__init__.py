"""The networks of Upscale-A-Video (Zhou et al. 2024), written from the facts that their checkpoints show."""
