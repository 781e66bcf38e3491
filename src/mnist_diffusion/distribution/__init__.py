"""Stages on workers: Dask embedded or joined."""
