"""Mutation tests of the course itself: `python -m tests.mutation`, report in docs/mutants.md.

Each graph patch and each exercise checker is changed in one place at a time, and its own tests are run on the
changed copy. What no test notices is a survivor: a test that is missing, code that is not needed, or a
change that changes nothing. `mutants` makes the changes, `trial` runs them, `report` writes them down; why a
survivor may stay is in `accepted.toml`.
"""
