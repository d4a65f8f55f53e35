"""azcmagent config: one module per command below it."""
