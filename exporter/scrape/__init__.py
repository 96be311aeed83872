"""Who to ask, how, and what the answer says: addresses, answers, text format 0.0.4 into families."""
