#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""rawprofile LINKED COUNTERS: what clang's own runtime would have written at the end of one process, for all processes together.

LINKED is a program or a library that was built with the option "coverage", COUNTERS what its processes counted (see
tests/coverage/counters.c). Standard output: a raw profile for llvm-profdata, version 8 of that format (clang 13 to 14).
"""
import struct
import sys

MAGIC = 0xFF6C70726F667281
VERSION = 8
DATA_SIZE = 48
LAST_VALUE_KIND = 1


def sections(elf):
    """Returns address and content of each section by its name, as ELF64 has it."""
    (table,) = struct.unpack_from("<Q", elf, 40)
    size, count, names_index = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + size * number) for number in range(count)]
    names = headers[names_index][4]
    found = {}
    for name, _, _, address, offset, length in headers:
        start = names + name
        found[elf[start : elf.index(b"\0", start)].decode()] = address, elf[offset : offset + length]
    return found


def main():
    with open(sys.argv[1], "rb") as linked, open(sys.argv[2], "rb") as counted:
        found = sections(linked.read())
        counters = counted.read()
    data_address, data = found["__llvm_prf_data"]
    counters_address, initial = found["__llvm_prf_cnts"]
    names_address, names = found["__llvm_prf_names"]
    counters = counters[: len(initial)].ljust(len(initial), b"\0")
    header = [
        MAGIC,
        VERSION,
        0,  # identities of binaries
        len(data) // DATA_SIZE,
        0,
        len(counters) // 8,
        0,
        len(names),
        (counters_address - data_address) % 2**64,
        names_address,
        LAST_VALUE_KIND,
    ]
    sys.stdout.buffer.write(struct.pack("<11Q", *header) + data + counters + names + bytes(-len(names) % 8))


main()
