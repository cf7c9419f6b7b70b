"""The servers beside ours, each as its own documentation has it, and the bare engine. Each is started as a process."""
