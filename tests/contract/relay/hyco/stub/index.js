// hyco-https depends on placeholder packages that the registry does not have any more.
