"""Tables, figures and pages, made from files: no torch and no mlflow here."""
