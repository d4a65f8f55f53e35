"""``python -m arcbed_cloud.cli``."""

from arcbed_cloud.cli import main

if __name__ == "__main__":
    main()
