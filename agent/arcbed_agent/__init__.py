"""The Connected Machine agent of the testbed: azcmagent and himds."""
