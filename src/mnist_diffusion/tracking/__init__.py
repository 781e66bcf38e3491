"""The view of all runs in MLflow. Files are the truth; losing this loses nothing but the view."""

from mnist_diffusion.tracking.runs import log_run

__all__ = ["log_run"]
