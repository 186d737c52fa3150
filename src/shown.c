// SPDX-License-Identifier: MIT
#include "shown.h"

#include <errno.h>
#include <vis.h>

const char *shown(const char *text)
{
	int error = errno;
	char *visible;

	if (stravis(&visible, text, VIS_OCTAL | VIS_NL | VIS_TAB) == -1)
		visible = "?";
	errno = error;
	return visible;
}
