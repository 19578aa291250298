// SPDX-License-Identifier: Apache-2.0
#include "lexer.h"
#include <stdlib.h>
#include <string.h>

void picket_text_add(struct picket_text *text, const void *bytes, size_t count)
{
	if (text->failed || !count)
		return;
	if (text->room - text->bytes < count) {
		size_t room = text->room * 2 + count + 256;
		uint8_t *at = realloc(text->at, room);

		if (!at) {
			text->failed = 1;
			return;
		}
		text->at = at;
		text->room = room;
	}
	memcpy(text->at + text->bytes, bytes, count);
	text->bytes += count;
}

void picket_text_free(struct picket_text *text)
{
	free(text->at);
	*text = (struct picket_text){0};
}
