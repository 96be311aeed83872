"""The chart, the image and what stands beside them."""
