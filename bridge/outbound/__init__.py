"""Followers: what reads the log from a stored cursor, off the hot path and at its own pace."""
