"""What happens on the worst days: run by hand, with a smoke in CI."""
