"""What the commands do around the running exporter: once, record, replay, explain, verify, the spool."""
