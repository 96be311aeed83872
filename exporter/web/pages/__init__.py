"""The pages as HTML: one module for each, from the values of `web.model`; every text is escaped."""
