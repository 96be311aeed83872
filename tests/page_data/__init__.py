"""What the pages and the API show, from replayed recordings."""
