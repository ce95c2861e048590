"""Runs a command under what a systemd unit says of system calls, memory and sockets, where no systemd runs.

    sandbox.py UNIT -- COMMAND...

SystemCallFilter, SystemCallErrorNumber, MemoryDenyWriteExecute and RestrictAddressFamilies become a seccomp filter, as
systemd makes it (systemd.exec(5)); the groups (@system-service) are asked of systemd-analyze.
"""
import errno
import os
import pathlib
import socket
import subprocess
import sys

import seccomp


def settings(unit):
    """{name: [values]} of the section [Service]."""
    found, section = {}, None
    for line in pathlib.Path(unit).read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            found.setdefault(name.strip(), []).append(value.strip())
    return found


def members(word):
    """The system calls of a word of SystemCallFilter: itself, or all of a group and of the groups in it."""
    if not word.startswith("@"):
        return {word}
    text = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", word], check=True, capture_output=True,
                          text=True).stdout
    names = [line.strip() for line in text.splitlines()[1:]]
    return set().union(*(members(name) for name in names if name and not name.startswith("#")))


def allowed(filters):
    calls = members("@default")
    for words in filters:
        named = set().union(*(members(word) for word in words.lstrip("~").split()))
        calls = calls - named if words.startswith("~") else calls | named
    return calls


def main():
    unit, dashes, *command = sys.argv[1:]
    assert dashes == "--" and command, __doc__
    service = settings(unit)
    denied = seccomp.ERRNO(getattr(errno, service["SystemCallErrorNumber"][-1]))
    # @default has execve; without it the command could not be begun.
    filters = seccomp.SyscallFilter(denied)
    families = {int(getattr(socket, name)) for name in service["RestrictAddressFamilies"][-1].split()}
    deny_executable = service["MemoryDenyWriteExecute"][-1] == "yes"
    write, executable = 2, 4
    for name in sorted(allowed(service["SystemCallFilter"])):
        try:
            if name == "socket":
                for family in families:
                    filters.add_rule(seccomp.ALLOW, name, seccomp.Arg(0, seccomp.EQ, family))
            elif deny_executable and name in ("mprotect", "pkey_mprotect"):
                filters.add_rule(seccomp.ALLOW, name, seccomp.Arg(2, seccomp.MASKED_EQ, executable, 0))
            elif deny_executable and name == "mmap":
                # Not both at once: allowed are the mappings without one or without the other.
                filters.add_rule(seccomp.ALLOW, name, seccomp.Arg(2, seccomp.MASKED_EQ, executable, 0))
                filters.add_rule(seccomp.ALLOW, name, seccomp.Arg(2, seccomp.MASKED_EQ, write | executable, executable))
            else:
                filters.add_rule(seccomp.ALLOW, name)
        except (OSError, RuntimeError):
            continue  # a system call of another architecture
    filters.set_attr(seccomp.Attr.CTL_NNP, 1)
    filters.load()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
