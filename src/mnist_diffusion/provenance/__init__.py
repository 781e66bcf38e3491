"""What files are and came from: digests over content."""
