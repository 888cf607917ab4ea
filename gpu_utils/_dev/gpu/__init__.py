"""What `make gpu` runs: the one command for a machine with a GPU."""
