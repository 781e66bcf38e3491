"""The view of all runs in MLflow. Files are the truth; losing this loses nothing but the view.

MLflow takes seconds to open. So a stage is noted in a spool, at once, and flushed to MLflow later,
with others.
"""

from mnist_diffusion.tracking.flushing import flush
from mnist_diffusion.tracking.spool import note, waited_seconds

__all__ = ["flush", "note", "waited_seconds"]
