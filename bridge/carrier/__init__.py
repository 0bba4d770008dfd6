"""A carrier's status file as events: any columns, the carrier's own statuses, mapped in a TOML file. Each row is one status of one parcel.

`mapping` says how to read a file and what each status is, `rows` reads a row, `events` makes its event once it is known which parcel it is about.
"""
