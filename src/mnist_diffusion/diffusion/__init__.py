"""Tensor maths of diffusion. Nothing here ever sees a network."""
