// SPDX-License-Identifier: MIT
// /proc/PID/stat, with a name in it that the process has chosen.
#include "fuzz.h"
#include "process.h"

#include <errno.h>

#define FIELDS 22	// up to the start time

// One number and what has to be before it, by strtoull(3). Returns what follows it, NULL if there is none.
static const char *number_at(const char *at, bool may_be_negative, uint64_t *number)
{
	if (may_be_negative && *at == '-')
		at++;
	errno = 0;
	*number = strtoull(at, NULL, 10);
	if (strspn(at, "0123456789") == 0 || errno == ERANGE)
		return NULL;
	return at + strspn(at, "0123456789");
}

// The fields by their numbers in proc_pid_stat(5). False: there are not so many.
static bool model(const char *text, size_t length, uint64_t fields[FIELDS + 1])
{
	const char *name_end = memrchr(text, ')', length);
	char *copy = input_copy((const uint8_t *)text, length);
	const char *at = number_at(copy, false, &fields[1]);
	bool complete = at && name_end && text + length - name_end > 4 && name_end[1] == ' ';

	if (complete) {
		at = copy + (name_end - text) + 1;
		fields[3] = (uint8_t)at[1];
		at += 2;
	}
	for (int field = 4; complete && field <= FIELDS; field++) {
		complete = *at == ' ' && (at = number_at(at + 1, true, &fields[field])) != NULL;
		if (!complete)
			break;
	}
	free(copy);
	return complete;
}

static void check_fields(const struct process_stat *status, const uint64_t fields[FIELDS + 1])
{
	CHECK(status->pid == (pid_t)fields[1]);
	CHECK((uint8_t)status->state == fields[3]);
	CHECK(status->parent == (pid_t)fields[4]);
	CHECK(status->session == (pid_t)fields[6]);
	CHECK(status->flags == fields[9]);
	CHECK(status->cpu_ticks == fields[14] + fields[15]);
	CHECK(status->threads == (long)fields[20]);
	CHECK(status->start == fields[22]);
	CHECK(process_stamp(status->start) == PROCESS_NO_STAMP || process_stamp(status->start) < 1000000000u);
}

// As the kernel writes it: the values of the fields, then any bytes for a name.
static void write_and_read(struct input *input)
{
	char tail[512], *name, *text;
	uint64_t fields[FIELDS + 1];
	struct process_stat status;
	int length, used = 0;

	fields[1] = input_number(input, 4) & INT32_MAX;
	fields[3] = (unsigned char)"RSDZTtXxKWPI"[input_byte(input) % 12];
	for (int field = 4; field <= FIELDS; field++) {
		fields[field] = input_number(input, field == 14 || field == 15 ? 7 : field == 22 ? 8 : 4) & INT64_MAX;
		used += snprintf(tail + used, sizeof(tail) - (size_t)used, " %llu", (unsigned long long)fields[field]);
	}
	name = input_string(input);
	length = asprintf(&text, "%llu (%s) %c%s 0 0 18446744073709551615\n", (unsigned long long)fields[1], name,
			  (char)fields[3], tail);
	CHECK(length > 0);
	CHECK(process_parse_stat(text, (size_t)length, &status));
	check_fields(&status, fields);
	free(text);
	free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size);
	uint64_t fields[FIELDS + 1];
	struct process_stat status;
	bool read = process_parse_stat((const char *)data, size, &status);

	CHECK(read == model((const char *)data, size, fields));
	if (read)
		check_fields(&status, fields);
	write_and_read(&input);
	return 0;
}
