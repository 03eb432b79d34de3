"""The memory of a process that a test starts."""

PEAK = "int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) * 1024"
"""An expression for the most bytes that the process had at a time. (`getrusage` begins with those of its parent.)"""
