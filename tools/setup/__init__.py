"""Making .venv: which Python, whose torch, what is installed and in which order. Standard library only.

Every module here must also parse on an old Python that then only looks for a newer one.
"""
