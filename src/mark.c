// SPDX-License-Identifier: MIT
#include "mark.h"

#include <string.h>

static void write_numbers(struct text *text, const char *before, const uint64_t *numbers, int count)
{
	for (int i = 0; i < count; i++) {
		text_add(text, i == 0 ? before : ".");
		text_number(text, numbers[i]);
	}
}

void mark_write(const struct mark *mark, char buffer[MARK_MAX])
{
	struct text text = text_in(buffer, MARK_MAX);
	const uint64_t numbers[] = { (uint64_t)mark->pid, mark->start, mark->lock.device, mark->lock.inode, (uint64_t)mark->session,
		mark->lock.flags, mark->space, (uint64_t)mark->lock.number };

	write_numbers(&text, "", numbers, mark->lock.number >= 0 ? 8 : 5);
	for (int i = 0; i < mark->outers; i++) {
		const struct mark_descriptor *outer = &mark->outer[i];

		write_numbers(&text, "+", (const uint64_t[]){ outer->flags, outer->device, outer->inode, (uint64_t)outer->number }, 4);
	}
}

// Reads at most MOST numbers with dots between, as mark_write() writes them. Returns how many, 0: there is something else.
static int parse_numbers(const char **at, const char *end, uint64_t *numbers, int most)
{
	int count = 0;

	do {
		const char *digits = *at;

		if (count == most || !text_parse_number(at, end, &numbers[count]) || (*digits == '0' && *at - digits > 1))
			return 0;
		count++;
	} while (**at == '.' && ++*at);
	return count;
}

static bool parse_outer(const char **at, const char *end, struct mark *mark)
{
	uint64_t numbers[4];

	++*at;
	if (mark->outers == MARK_OUTER_MAX || parse_numbers(at, end, numbers, 4) != 4 || numbers[0] > MARK_FLAGS_MAX || numbers[3] > INT32_MAX)
		return false;
	mark->outer[mark->outers++] = (struct mark_descriptor){
		.flags = (unsigned)numbers[0],
		.device = numbers[1],
		.inode = numbers[2],
		.number = (int)numbers[3],
	};
	return true;
}

bool mark_parse(const char *text, struct mark *mark)
{
	uint64_t numbers[8] = { 0 };
	const char *end;
	int count;

	if (!text)
		return false;
	end = text + strlen(text);
	count = parse_numbers(&text, end, numbers, 8);
	if ((count != 5 && count != 8) || numbers[0] == 0 || numbers[0] > INT32_MAX || numbers[4] > INT32_MAX ||
	    numbers[5] > MARK_FLAGS_MAX || numbers[7] > INT32_MAX)
		return false;
	mark->pid = (pid_t)numbers[0];
	mark->start = numbers[1];
	mark->session = (pid_t)numbers[4];
	mark->space = numbers[6];
	mark->lock = (struct mark_descriptor){
		.device = numbers[2],
		.inode = numbers[3],
		.flags = (unsigned)numbers[5],
		.number = count == 8 ? (int)numbers[7] : -1,
	};
	mark->outers = 0;
	while (*text == '+')
		if (!parse_outer(&text, end, mark))
			return false;
	return text == end;
}

int mark_add_outer(struct mark *mark, const struct mark_descriptor *descriptor)
{
	int gone = -1;

	if (mark->outers == MARK_OUTER_MAX) {
		gone = mark->outer[0].number;
		memmove(mark->outer, mark->outer + 1, sizeof(mark->outer) - sizeof(mark->outer[0]));
		mark->outers--;
	}
	mark->outer[mark->outers++] = *descriptor;
	return gone;
}

bool mark_is_of(const struct mark *mark, const struct stat *status)
{
	return mark->lock.device == status->st_dev && mark->lock.inode == status->st_ino;
}
