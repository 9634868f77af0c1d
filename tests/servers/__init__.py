"""Real servers for tests, each an own instance on the loopback that ends with its test."""
