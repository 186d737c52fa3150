// SPDX-License-Identifier: MIT
#include "relatives.h"

#include "children.h"
#include "procfile.h"
#include "rawcall.h"
#include "text.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// Processes whose children are still to be looked at. The kernel gives this memory page by page as it is written.
#define QUEUE_BYTES 65536
#define QUEUE_MAX (QUEUE_BYTES / sizeof(pid_t))
// Between two looks at the clock.
#define VISITS_BETWEEN 8
// The kernel's include/uapi/linux/kcmp.h.
#define KCMP_VM 1

struct search {
	const struct process_self *self;	// who began before it is passed over; NULL: nobody is
	relatives_visit *visit;
	void *context;
	struct budget *budget;
	pid_t *queue;
	size_t first, count;
	unsigned visited;
	pid_t own;		// this process, or its ancestor whose parent is looked at: not to be visited
	bool certain;
	bool listed;		// the kernel lists children
	bool done;
};

static bool began_later(const struct process_self *self, pid_t pid)
{
	struct process_stat status;
	uint64_t start;

	if (self->start == PROCESS_START_UNKNOWN)
		return true;
	if (process_read_stat(pid, &status) == -1)
		return false;
	start = process_start(&status);
	return start == PROCESS_START_UNKNOWN || start >= self->start;
}

static void visit_one(struct search *search, pid_t pid)
{
	if (pid == search->own || (!search->certain && search->self && !began_later(search->self, pid)))
		return;
	if (search->queue && search->count < QUEUE_MAX)
		search->queue[search->count++] = pid;
	search->done = search->visit(search->context, pid, search->certain) ||
		       (++search->visited % VISITS_BETWEEN == 0 && budget_cuts(search->budget));
}

static bool visit_number(void *context, pid_t pid)
{
	struct search *search = context;

	visit_one(search, pid);
	return search->done;
}

static void visit_children(struct search *search, pid_t parent)
{
	search->listed = children_visit(parent, visit_number, search) || search->listed;
}

static void visit_queue(struct search *search)
{
	while (!search->done && search->first < search->count)
		visit_children(search, search->queue[search->first++]);
}

// The first process adopts whom no nearer ancestor does, and is none of ours where another PID namespace has put us into this one.
static void visit_below_ancestors(struct search *search)
{
	struct process_stat status;
	pid_t pid = getppid();

	search->certain = false;
	for (; !search->done && pid > 1 && process_read_stat(pid, &status) == 0; pid = status.parent) {
		visit_children(search, pid);
		// An ancestor that began in the same hundredth of a second is no descendant.
		search->own = pid;
	}
	if (!search->done)
		visit_children(search, 1);
	visit_queue(search);
}

void relatives_of_self(const struct process_self *self, relatives_visit *visit, void *context, struct budget *budget)
{
	struct search search = { .self = self, .visit = visit, .context = context, .budget = budget, .own = getpid(), .certain = true };
	void *memory;

	if (process_proc_is_foreign())
		return;
	memory = mmap(NULL, QUEUE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	search.queue = memory == MAP_FAILED ? NULL : memory;
	visit_children(&search, search.own);
	visit_queue(&search);
	if (search.listed && self)
		visit_below_ancestors(&search);
	if (search.queue)
		(void)munmap(memory, QUEUE_BYTES);
	search.queue = NULL;
	search.certain = false;
	if (!search.listed && self)
		(void)procfile_search("/proc", 0, visit_number, &search);
}

// The last word of /proc/loadavg.
bool relatives_last_number(uint64_t *last)
{
	char text[128];
	ssize_t length = procfile_read("/proc/loadavg", text, sizeof(text));
	const char *at = text + length;

	while (length > 0 && at > text && at[-1] != ' ')
		at--;
	return length > 0 && text_parse_number(&at, text + length, last);
}

void relatives_of_dead(relatives_visit *visit, void *context, struct budget *budget)
{
	struct search search = { .visit = visit, .context = context, .budget = budget };

	if (!process_proc_is_foreign())
		(void)procfile_search("/proc", 0, visit_number, &search);
}

static bool shares_memory(void *context, pid_t pid, bool certain)
{
	(void)certain;
	*(bool *)context = rawcall(SYS_kcmp, getpid(), pid, KCMP_VM, 0, 0, 0) == 0;
	return *(bool *)context;
}

bool relatives_share_memory(struct budget *budget)
{
	bool found = false;

	relatives_of_self(NULL, shares_memory, &found, budget);
	return found;
}
