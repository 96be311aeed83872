"""Tests of the commands that read rollouts, against running exporters and targets."""
