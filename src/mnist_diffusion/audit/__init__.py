"""The audit: which data, code, weights and parameters made a sample set, checked anew from bytes.

It finds accidents and one-sided edits. Whoever rewrites every file, manifest, lock and commit alike
is found by a signature, or by drawing again, which misses those who have trained what they show.
"""
