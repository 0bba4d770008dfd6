"""How fast the product is and what it costs, each figure beside that of what a user would run instead. `dockbridge bench --help`; README.md says what is measured and how."""
