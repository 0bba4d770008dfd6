"""Rates and costs of the product, and of what a user would run instead. `dockbridge bench --help`; README.md says what is measured and how."""
