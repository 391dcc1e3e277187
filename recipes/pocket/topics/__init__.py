"""What people talk about with Pocket. Every function draws one piece of conversation."""
