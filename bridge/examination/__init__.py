"""A site as a doctor sees it: what `operations.doctor` asks, read from the folder, the machine, the database and the running server. Nothing is changed."""
