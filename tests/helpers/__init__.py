"""What several kinds of tests share. tests/README.md says which module has what."""
