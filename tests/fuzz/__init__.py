"""Fuzzing: mutated inputs for everything that reads what others wrote.

`python -m tests.fuzz [--minutes N] [TARGET …]` mutates a corpus (real pages, manifests, configurations, and the inputs
of past faults under `past/`) and checks laws: no exception of a kind that is not the API's own, bounded time and
memory, and what each target promises besides, such as that incremental results equal those from scratch.

`targets` is the table of what is fuzzed, `mutation` changes an input, `runner` runs a target in a process of its own,
whose crash or hang is a finding, too.
"""
