#!/usr/bin/env python3
"""pyghmi's management controller in front of a machine that is a process.

    pyghmi_controller.py PORT FILE      FILE holds the number of the machine's process
"""

import subprocess
import sys

from pyghmi.ipmi import bmc


class Controller(bmc.Bmc):
    """Switches the process; its state is whether the process runs."""

    def __init__(self, port, file):
        super().__init__({"admin": "secret"}, port=port)
        self.file = file
        self.machine = None
        self.power_on()

    def get_power_state(self):
        return "on" if self.machine and self.machine.poll() is None else "off"

    def power_on(self):
        if self.get_power_state() == "off":
            self.machine = subprocess.Popen(["sleep", "100000"])
            with open(self.file, "w") as file:
                file.write(str(self.machine.pid))

    def power_off(self):
        if self.machine:
            self.machine.kill()
            self.machine.wait()


if __name__ == "__main__":
    Controller(int(sys.argv[1]), sys.argv[2]).listen()
