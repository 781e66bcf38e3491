"""nn.Modules that never see a schedule, and the registries by which a config names one."""

CLASSES = 10
"""Digits; every network that knows labels counts them."""
