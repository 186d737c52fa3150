// SPDX-License-Identifier: MIT
#include "table.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

// 0: no limit.
static int terminal_width(void)
{
	struct winsize size;

	return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static int width_of(const char *const *cells, size_t rows, size_t columns, size_t column)
{
	size_t width = 0;

	for (size_t row = 0; row < rows; row++)
		if (strlen(cells[row * columns + column]) > width)
			width = strlen(cells[row * columns + column]);
	return (int)width;
}

static void print_row(const char *const *cells, const int *widths, size_t columns, size_t numbers)
{
	char *line = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&line, &size);
	int limit = terminal_width();

	if (!stream)
		err(125, "memory");
	for (size_t column = 0; column < columns; column++)
		if (column == columns - 1)
			(void)fputs(cells[column], stream);
		else
			(void)fprintf(stream, column == numbers ? "%*s  " : "%-*s  ", widths[column], cells[column]);
	if (fclose(stream) == EOF)
		err(125, "memory");
	printf("%.*s\n", limit > 0 && size > (size_t)limit ? limit : (int)size, line);
	free(line);
}

void table_print(const char *const *cells, size_t rows, size_t columns, size_t numbers)
{
	int *widths = calloc(columns, sizeof(*widths));

	if (!widths)
		err(125, "memory");
	for (size_t column = 0; column < columns; column++)
		widths[column] = width_of(cells, rows, columns, column);
	for (size_t row = 0; row < rows; row++)
		print_row(cells + row * columns, widths, columns, numbers);
	free(widths);
}
