"""What metering costs: guest code with and without it, and the rewriting itself."""
