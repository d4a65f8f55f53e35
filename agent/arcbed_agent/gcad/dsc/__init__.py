"""Desired state configuration: reads MOF documents and tests, sets and gets their resources.

Nothing in here knows the control plane: a document, a host and a mode go in, an evaluation comes out.
"""
