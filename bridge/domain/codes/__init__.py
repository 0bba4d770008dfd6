"""Which order a scanned code belongs to: a pure function of the stored events, so that no order of arrival can change it.

`evidence.py` says what each event type proves about a code, `history.py` is what that makes of one code (`reading.py` puts it in the order of time),
`containers.py` knows what was in a pallet or cage, and `place.py` is the table that places an event. Nothing here reads a verdict, a placing, or a parcel that
the fold has chosen.
"""
