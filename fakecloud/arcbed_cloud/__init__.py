"""The control plane of the testbed: ARM, Entra ID and the services an Arc agent talks to."""
