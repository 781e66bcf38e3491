"""Environment variables that this package reads and sets."""

CLUSTER = "MNIST_DIFFUSION_CLUSTER"
"""Address of a scheduler, tls://host:port, or the file that it has written; none: embedded."""
SCRATCH = "MNIST_DIFFUSION_SCRATCH"
"""Folder of a host in which workers lay their copies of the project."""
COPY = "MNIST_DIFFUSION_COPY"
"""Set where a stage runs in a copy: its results are read, and tracked, elsewhere."""
