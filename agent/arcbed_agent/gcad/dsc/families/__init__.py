"""The resources, one module for each family of the classes that Linux packages use."""
