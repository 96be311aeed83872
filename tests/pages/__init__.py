"""The pages in HTML and in a real browser; `python -m tests.pages` draws them."""
