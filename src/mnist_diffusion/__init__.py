"""Compare diffusion models on MNIST: noise schedules, conditioning, samplers and guidance."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"
"""Or numpy and scipy would split a product over the cores, and round by their number.

OpenBLAS reads it when it is loaded, so it stands before all imports. torch's: runtime/threads.py.
"""
