"""One file a DVC stage: read, compute, write."""
