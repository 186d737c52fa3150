// SPDX-License-Identifier: MIT
#include "waiter.h"

#include <errno.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// An SCM_RIGHTS message with one descriptor.
struct parcel {
	struct msghdr message;
	struct iovec bytes;
	char byte;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

static struct msghdr *pack(struct parcel *parcel)
{
	memset(parcel, 0, sizeof(*parcel));
	parcel->bytes = (struct iovec){ &parcel->byte, 1 };
	parcel->message = (struct msghdr){
		.msg_iov = &parcel->bytes,
		.msg_iovlen = 1,
		.msg_control = parcel->control,
		.msg_controllen = CMSG_LEN(sizeof(int)),	// for one, and no more
	};
	return &parcel->message;
}

// A mapping would be in the memory that this thread shares with the program, and so in a child that is forked before the lock is among
// the process' locks. So the descriptor alone goes over, from this thread's table to the program's.
static void pass_on(struct waiter *waiter)
{
	struct parcel parcel;
	struct msghdr *message = pack(&parcel);
	struct cmsghdr *header = CMSG_FIRSTHDR(message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &waiter->lock->descriptor, sizeof(int));
	message->msg_name = &waiter->to.address;
	message->msg_namelen = waiter->to.length;
	// If it does not go, nothing comes.
	(void)sendmsg(waiter->sender, message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// A datagram socket with a name that the kernel chooses. It receives from the socket of the name FROM and from nobody else; NULL: from
// anybody. Returns it, or -1 and errno.
static int open_socket(const struct socket_name *from, struct socket_name *name)
{
	const struct sockaddr_un any = { .sun_family = AF_UNIX };
	int error, fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	name->length = sizeof(name->address);
	// Connected before it has a name: every user can read the name, and could fill the queue at once.
	if (fd != -1 && ((!from || connect(fd, (const struct sockaddr *)&from->address, from->length) == 0) &&
			 bind(fd, (const struct sockaddr *)&any, sizeof(sa_family_t)) == 0 &&
			 getsockname(fd, (struct sockaddr *)&name->address, &name->length) == 0))
		return fd;
	error = errno;
	if (fd != -1)
		(void)close(fd);
	// Nothing can be connected to that.
	name->length = 0;
	errno = error;
	return -1;
}

static void await(sem_t *semaphore)
{
	while (sem_wait(semaphore) == -1)
		;
}

static void announce_end(struct waiter *waiter)
{
	atomic_store(&waiter->ended, 1);
	(void)syscall(SYS_futex, &waiter->ended, FUTEX_WAKE_PRIVATE, 1, NULL);
}

static void *wait_in_thread(void *context)
{
	struct waiter *waiter = context;

	limited_begin(&waiter->limited);
	// The program's descriptors are not to be kept open by this thread.
	if (close_range(0, ~0U, CLOSE_RANGE_UNSHARE) == -1) {
		waiter->outcome.error = errno;
		waiter->result = LOCKFILE_ERROR;
	} else {
		waiter->result = lockfile_wait(waiter->lock, waiter->deadline, &waiter->outcome);
	}
	if (waiter->result == LOCKFILE_TAKEN)
		waiter->sender = open_socket(NULL, &waiter->from);
	announce_end(waiter);
	if (waiter->result != LOCKFILE_TAKEN)
		return NULL;
	await(&waiter->go);
	if (!atomic_load(&waiter->limited.given_up)) {
		pass_on(waiter);
		(void)sem_post(&waiter->sent);
		await(&waiter->go);
	}
	// The program may have had no room for it.
	if (atomic_load(&waiter->limited.given_up))
		(void)lockfile_release(waiter->lock);
	else
		(void)close(waiter->lock->descriptor);
	// Nothing that counts is left in the table: pthread_join() may return before the kernel has closed what is.
	return NULL;
}

int waiter_start(struct waiter *waiter, struct lockfile *lock, uint64_t deadline, const struct lockfile_outcome *outcome)
{
	int error;

	*waiter = (struct waiter){ .lock = lock, .deadline = deadline, .outcome = *outcome };
	if (limited_init(&waiter->limited) == -1 || sem_init(&waiter->go, 0, 0) == -1 || sem_init(&waiter->sent, 0, 0) == -1)
		return errno;
	lock->unmapped = true;
	error = limited_start(&waiter->thread, wait_in_thread, waiter);
	if (error != 0)
		lock->unmapped = false;
	return error;
}

static void end(struct waiter *waiter)
{
	(void)pthread_join(waiter->thread, NULL);
	waiter->lock->unmapped = false;
	limited_destroy(&waiter->limited);
	(void)sem_destroy(&waiter->go);
	(void)sem_destroy(&waiter->sent);
}

// Without a limit, for the kernel goes on with a futex that has one under no handler, whatever SA_RESTART says; the limit is the other
// thread's. Here, and only here, this thread may be cancelled: nothing of libc's is interrupted by that.
int waiter_sleep(struct waiter *waiter)
{
	long result = 0;
	int type;

	(void)pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);	// NOLINT(cert-pos47-c): a system call alone follows
	while (atomic_load(&waiter->ended) == 0 && (result == 0 || errno != EINTR))
		result = syscall(SYS_futex, &waiter->ended, FUTEX_WAIT_PRIVATE, 0, NULL);
	(void)pthread_setcanceltype(type, &type);
	return atomic_load(&waiter->orphaned) || atomic_load(&waiter->ended) == 0 ? EINTR : 0;
}

void waiter_give_up(struct waiter *waiter)
{
	// A child has neither the thread nor its table.
	if (atomic_load(&waiter->orphaned))
		return;
	limited_give_up(&waiter->limited);
	(void)sem_post(&waiter->go);
	end(waiter);
}

// Only the thread can have sent it.
static int receive(int mailbox)
{
	struct parcel parcel;
	const struct cmsghdr *header;
	int fd = -1;

	if (recvmsg(mailbox, pack(&parcel), MSG_DONTWAIT | MSG_CMSG_CLOEXEC) == -1)
		return -1;
	header = CMSG_FIRSTHDR(&parcel.message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

enum lockfile_result waiter_finish(struct waiter *waiter, int *descriptor, int *error)
{
	*descriptor = -1;
	*error = waiter->outcome.error;
	if (waiter->result == LOCKFILE_TAKEN) {
		int mailbox = open_socket(&waiter->from, &waiter->to);

		*error = mailbox == -1 ? errno : EMFILE;
		if (mailbox != -1) {
			(void)sem_post(&waiter->go);
			await(&waiter->sent);
			*descriptor = receive(mailbox);
			(void)close(mailbox);
		}
		if (*descriptor == -1)
			limited_give_up(&waiter->limited);
		(void)sem_post(&waiter->go);
	}
	end(waiter);
	return waiter->result;
}

void waiter_orphan(struct waiter *waiter)
{
	atomic_store(&waiter->orphaned, true);
	atomic_store(&waiter->ended, 1);
}
