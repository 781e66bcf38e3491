"""Figures that others publish too, taken on demand: no stage of the pipeline needs them."""
