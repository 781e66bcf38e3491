"""Digits on request: `mnist-diffusion generate`, and what the served model draws with."""
