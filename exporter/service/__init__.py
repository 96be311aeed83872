"""The running exporter: what is built of the settings, and how it goes round."""
