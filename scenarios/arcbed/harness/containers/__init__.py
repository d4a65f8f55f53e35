"""Beds made of containers: real host names, real networks, real cuts."""
