"""What the product costs and yields, each figure beside what a user would run instead. `dockbridge bench --help`; README.md says what is measured and how."""
