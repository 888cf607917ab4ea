"""What the course itself costs in time: `make bench`. Learners never import it."""
