"""Training: the loop, what it minimises, and averaged weights."""
