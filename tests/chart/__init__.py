"""Tests of the Helm chart, the image, and the sidecar and collector configurations beside the chart."""
