"""azcmagent extension: manage installed extensions while the extension service is stopped."""
