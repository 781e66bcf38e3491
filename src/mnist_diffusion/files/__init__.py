"""Paths, JSON and YAML, written whole or not at all."""
