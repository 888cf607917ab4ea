"""Programs for the people who maintain the course; learners never import them."""
