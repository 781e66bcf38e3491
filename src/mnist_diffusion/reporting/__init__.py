"""Tables, charts, pictures, claims and pages, from files alone."""
