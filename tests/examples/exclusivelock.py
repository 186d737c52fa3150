# SPDX-License-Identifier: MIT
"""libexclusivelock for Python, with the interface of the package `exclusiveprocess`: change the import, and nothing else.

    from exclusivelock import Lock, CannotAcquireLock

    Lock(die=True).forever()            # at the top of a script: it ends if it is running already

    with Lock(name="nightly"):          # or: CannotAcquireLock
        ...

    @Lock(name="nightly", patience=10)  # more than the package has: waits for ten seconds
    def work():
        ...
"""
import ctypes
import errno
import inspect
import os
import sys
import time

library = ctypes.CDLL("libexclusivelock.so.1", use_errno=True)
for function, result, arguments in (
        ("try", ctypes.c_void_p, [ctypes.c_char_p]),
        ("wait", ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_double]),
        ("path", ctypes.c_char_p, [ctypes.c_void_p]),
        ("holder", ctypes.c_int, [ctypes.c_char_p]),
        ("release", ctypes.c_int, [ctypes.c_void_p]),
        ("forever", None, [ctypes.c_void_p])):
    entry = getattr(library, "exclusivelock_" + function)
    entry.restype, entry.argtypes = result, arguments


class CannotAcquireLock(Exception):
    pass


class Lock:
    def __init__(self, *args, name=None, die=False, patience=0):
        if args and isinstance(args[0], str):
            raise ValueError("Pass the lock's name as the argument name=.")
        self.name = name if name is not None else os.path.abspath(inspect.stack()[1].filename)
        self.die = die
        self.patience = patience
        self.function = args[0] if args and callable(args[0]) else None

    def __enter__(self):
        name = os.fsencode(self.name)
        handle = self.take(name)
        if not handle:
            self.refuse(ctypes.get_errno(), library.exclusivelock_holder(name))
        # Only now: another thread may be within this very Lock.
        self.handle = handle
        self.lockfile = os.fsdecode(library.exclusivelock_path(self.handle))
        return self

    def take(self, name):
        """Returns the lock, or None. After a signal whose handler raises nothing it waits for the rest of the time."""
        if self.patience == 0:
            return getattr(library, "exclusivelock_try")(name)
        end = time.monotonic() + self.patience
        while True:
            handle = library.exclusivelock_wait(name, max(end - time.monotonic(), 0) if self.patience > 0 else -1)
            if handle or ctypes.get_errno() != errno.EINTR:
                return handle

    def refuse(self, error, holder):
        if holder > 0:
            message = f"Another '{self.name}' process is already running (pid {holder})."
        else:
            message = f"{self.name}: {os.strerror(error)}"
        if not self.die:
            raise CannotAcquireLock(message)
        print(message, file=sys.stderr)
        sys.exit(1)

    def __exit__(self, *exception):
        handle, self.handle = self.handle, None
        if library.exclusivelock_release(handle) == -1:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), self.lockfile)

    def forever(self):
        library.exclusivelock_forever(self.__enter__().handle)

    def __call__(self, *args, **kwargs):
        if self.function:
            with self:
                return self.function(*args, **kwargs)
        if len(args) == 1 and callable(args[0]):
            return Lock(args[0], name=self.name, die=self.die, patience=self.patience)
        raise TypeError("A Lock is called as a decorator only.")
