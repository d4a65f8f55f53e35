"""The Connected Machine agent of the testbed: azcmagent and himds."""

#: Four parts, as the product's: the release whose behaviour is followed, then 0.0 because the build is ours.
AGENT_VERSION = "1.67.0.0"
