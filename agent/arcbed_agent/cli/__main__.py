from arcbed_agent.cli import main

main()
