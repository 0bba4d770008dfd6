"""Helpers that several kinds of tests share. tests/README.md describes each module."""
