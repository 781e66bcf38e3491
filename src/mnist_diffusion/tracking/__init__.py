"""The view of all runs in MLflow. Files are the truth; losing this loses nothing but the view."""
