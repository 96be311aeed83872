"""The commands besides `run`: once, record, replay, series, explain, storage, verify and gate, without their printing.

Each module does the work of one command and returns values or lines; `cli` parses the options, prints and exits.
`errors` maps the errors that a user can fix to exit codes.
"""
