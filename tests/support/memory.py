"""The memory of a process that a test starts."""

PEAK = "int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) * 1024"
"""Expression for the peak memory of a process. (`getrusage` begins with that of its parent.)"""
