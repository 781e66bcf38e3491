"""What is published here, in the formats that others read."""
