"""The contract as documents for developers of devices, generated from the code: CDDL, AsyncAPI, TypeScript and tables.

Nothing about a payload is written twice: types come from the structs, texts from below the fields and words that they describe.
"""
