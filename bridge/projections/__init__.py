"""What follows from settled events: one projection a file, in the order of the tuple in `app.py`."""
