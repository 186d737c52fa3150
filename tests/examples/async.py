#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Waits in an event loop until nobody holds the lock "nightly", and does something else meanwhile."""
import asyncio
import ctypes
import os

library = ctypes.CDLL("libexclusivelock.so.1", use_errno=True)


async def is_free(name):
    free = asyncio.Event()
    descriptor = library.exclusivelock_watch(name, None)
    if descriptor == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, free.set)
    await free.wait()
    loop.remove_reader(descriptor)
    os.close(descriptor)


async def main():
    waiting = asyncio.create_task(is_free(b"nightly"))
    print("meanwhile", flush=True)
    await waiting
    print("free", flush=True)


asyncio.run(main())
