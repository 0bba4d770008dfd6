"""A training: the tasks, what each answer means in words, and the course that gives tasks out and keeps the score."""
