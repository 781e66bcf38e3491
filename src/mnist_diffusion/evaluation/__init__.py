"""Judging: how near are drawn digits to real ones."""
