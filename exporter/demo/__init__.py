"""What the demo is made of: a simulated cluster, a Last9 stand-in, a script for both and a picture of it all."""
