"""The law of codes, read a second time: where every event of a site belongs, as a pure and slow function of the set of stored events.

| module | part of the law |
|---|---|
| `told.py` | what goes in (`Told`) and what comes out (`Placing`), and the kinds of events |
| `keys.py` | one key for each text |
| `evidence.py` | what an event says about a key; voids, the creation of orders, common codes |
| `history.py` | one pass over the evidence of a key: bindings, hints, lapses |
| `holding.py` | the order that holds a key at a time |
| `relabelling.py` | labels without an order take the order of the code that they replace |
| `containers.py` | what is inside a container at a moment |
| `placing.py` | `places`: kind of event and holder of its code → orders, refusal, warnings |

The result never depends on the order in which events were stored, on a verdict, or on a parcel that was chosen for an event.
It says to which orders an event belongs. Which parcel of an order it is about is decided by the model of the order.
"""
