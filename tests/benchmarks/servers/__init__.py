"""The contestants: each file starts one, reports its memory and processor time, and stops it."""
