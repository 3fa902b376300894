"""What a plugin may do: rules, grants that are kept, and asking the user."""
