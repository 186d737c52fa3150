// SPDX-License-Identifier: MIT
// exclusivelock.h for C++: a lock that can be moved, not copied, and that is given back when it goes out of scope. Empty (false) if it was
// not taken: errno says why. Nothing is thrown.
//
//	if (auto lock = exclusive::wait("queue", 10))
//		...
#ifndef EXCLUSIVELOCK_HPP
#define EXCLUSIVELOCK_HPP

#include <exclusivelock.h>
#include <memory>

namespace exclusive {

struct release {
	void operator()(exclusivelock *lock) const noexcept { (void)exclusivelock_release(lock); }
};

using lock = std::unique_ptr<exclusivelock, release>;

inline lock try_lock(const char *name = nullptr) { return lock(exclusivelock_try(name)); }
inline lock wait(const char *name, double seconds = -1) { return lock(exclusivelock_wait(name, seconds)); }
inline lock open(const char *name, const exclusivelock_options &options) { return lock(exclusivelock_open(name, &options)); }
inline lock or_die(const char *name = nullptr) { return lock(exclusivelock_or_die(name)); }
inline void forever(lock held) { exclusivelock_forever(held.release()); }

} // namespace exclusive

#endif
