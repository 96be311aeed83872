"""The linter of gates: Kubernetes YAML in, findings out, each with its line, the reason and a hint. Pure.

`inputs` reads files into views of templates, `condition_tester` evaluates conditions for representative values,
`checks` has a function per rule, `rules` the table of them, and `findings` formats the result.
"""
