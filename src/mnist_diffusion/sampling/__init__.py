"""Sampling: images out of a trained denoiser, the same ones whatever the batch size."""
