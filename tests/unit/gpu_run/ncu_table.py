"""A table as Nsight Compute prints it: its own messages, names, units, a row a kernel."""

RANGE = "thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"
NAMES = ("ID", "Process ID", "Process Name", "Host Name", "Kernel Name", "Context", "Stream",
         "Block Size", "Grid Size", "Device", "CC", RANGE, "dram__bytes_read.sum",
         "dram__bytes_write.sum", "gpu__time_duration.sum",
         "sm__cycles_elapsed.avg.per_second")  # fmt: skip
UNITS = ("",) * 12 + ("byte", "byte", "ns", "hz")
MIB = 2**20
L2 = 50 * MIB  # an H100's
COUNT = 2**28  # bytes of 2^26 float32, five times that L2


def row(number, kernel, *values):
    label = f"<default domain>:ridge-case-{number}:none:none:none:none:ASCII:ridge-case-{number}"
    head = ("0", "77", "python3", "127.0.0.1", kernel, "1", "7", "(128, 1, 1)", "(65536, 1, 1)",
            "0", "9.0", label)  # fmt: skip
    return (*head, *values)


def table(*rows, names=NAMES, units=UNITS):
    lines = [",".join(f'"{cell}"' for cell in line) for line in (names, units, *rows)]
    return ["==PROF== Connected to process 77 (/usr/bin/python3)", *lines,
            "==PROF== Disconnected from process 77"]  # fmt: skip
