"""Start the agent's program named by the first argument, with the modules that the package brought along."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
program = sys.argv.pop(1)
sys.argv[0] = program
if program == "himds":
    from arcbed_agent.himds.__main__ import main
elif program == "gc_linux_service":
    from arcbed_agent.gcad.__main__ import main
elif program == "extd":
    from arcbed_agent.extd.__main__ import main
elif program == "gc_worker":
    from arcbed_agent.gcad.worker import main
else:
    from arcbed_agent.cli import main

main()
