// SPDX-License-Identifier: MIT
// What programs that were built against version 1 of libexclusivelock's symbols rely on. It compiles as long as the header says the same: a
// declaration that differs is an error, and so are other sizes and places. What is added is added here, too; what is here never changes.
// (The symbols themselves: debian/libexclusivelock1.symbols.)
#include <exclusivelock.h>
#include <stddef.h>

#ifdef __cplusplus
#define HAS(what) static_assert(what, #what)
extern "C" {
#else
#define HAS(what) _Static_assert(what, #what)
#endif

exclusivelock *exclusivelock_try(const char *name);
exclusivelock *exclusivelock_wait(const char *name, double seconds);
exclusivelock *exclusivelock_open(const char *name, const struct exclusivelock_options *options);
exclusivelock *exclusivelock_or_die(const char *name);
void exclusivelock_die(const char *name);
void exclusivelock_forever(exclusivelock *lock);
int exclusivelock_release(exclusivelock *lock);
const char *exclusivelock_path(const exclusivelock *lock);
pid_t exclusivelock_holder(const char *name);
int exclusivelock_info(const char *name, const struct exclusivelock_options *options, struct exclusivelock_status *status);
int exclusivelock_watch(const char *name, const struct exclusivelock_options *options);

#ifdef __cplusplus
}
#endif

#define AT(type, field, offset, size) \
	HAS(offsetof(struct type, field) == (offset) && sizeof(((struct type *)0)->field) == (size))

#ifdef __LP64__
HAS(sizeof(struct exclusivelock_options) == 24);
AT(exclusivelock_options, size, 0, 8);
AT(exclusivelock_options, directory, 8, 8);
AT(exclusivelock_options, patience, 16, 8);

HAS(sizeof(struct exclusivelock_status) == 288);
AT(exclusivelock_status, size, 0, 8);
AT(exclusivelock_status, since, 8, 8);
AT(exclusivelock_status, pid, 16, 4);
AT(exclusivelock_status, user, 20, 4);
AT(exclusivelock_status, waiting, 24, 4);
AT(exclusivelock_status, command, 28, 256);
#endif
