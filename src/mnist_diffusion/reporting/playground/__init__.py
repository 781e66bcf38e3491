"""The page that draws: trained networks and published scores in one file."""
