"""Compare diffusion models on MNIST: noise schedules, conditioning, samplers and guidance."""
