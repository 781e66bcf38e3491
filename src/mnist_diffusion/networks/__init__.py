"""Networks and how they are stored. Nothing here ever sees a noise schedule."""
