"""Seeds, device and threads, locks, unfinished work, progress bars, errors."""
