"""The values of the pages (`web.model`), from the tracker's status, the history, delivery and the settings.

One module for each page; `sources` joins them to the running parts. All but `sources` and `fleet` are pure functions.
"""
