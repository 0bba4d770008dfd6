"""What is derived from settled events: one projection per file, in the order of the tuple in `app.py`."""
