// SPDX-License-Identifier: MIT
#include "mark.h"

#include <string.h>

void mark_write(const struct mark *mark, char buffer[MARK_MAX])
{
	struct text text = text_in(buffer, MARK_MAX);

	text_number(&text, (uint64_t)mark->pid);
	text_add(&text, ".");
	text_number(&text, mark->start);
	text_add(&text, ".");
	text_number(&text, mark->device);
	text_add(&text, ".");
	text_number(&text, mark->inode);
	text_add(&text, ".");
	text_number(&text, (uint64_t)mark->session);
	if (mark->descriptor >= 0) {
		text_add(&text, ".");
		text_number(&text, (uint64_t)mark->descriptor);
	}
}

bool mark_parse(const char *text, struct mark *mark)
{
	uint64_t numbers[6] = { 0 };
	int count = 0;
	const char *end;

	if (!text)
		return false;
	end = text + strlen(text);
	do {
		const char *digits = text;

		if (count == 6 || !text_parse_number(&text, end, &numbers[count]) || (*digits == '0' && text - digits > 1))
			return false;
		count++;
	} while (*text == '.' && text++);
	if (text != end || count < 5 || numbers[0] == 0 || numbers[0] > INT32_MAX || numbers[4] > INT32_MAX || numbers[5] > INT32_MAX)
		return false;
	*mark = (struct mark){
		.pid = (pid_t)numbers[0],
		.start = numbers[1],
		.device = numbers[2],
		.inode = numbers[3],
		.session = (pid_t)numbers[4],
		.descriptor = count == 6 ? (int)numbers[5] : -1,
	};
	return true;
}

bool mark_is_of(const struct mark *mark, const struct stat *status)
{
	return mark->device == status->st_dev && mark->inode == status->st_ino;
}
