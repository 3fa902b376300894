"""What metering costs, and how fast plugins are loaded and called beside other ways."""
