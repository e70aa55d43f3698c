// A growing text. See text.h.
#include "base/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char text_empty[1];

void text_init(struct text *text)
{
	*text = (struct text)TEXT_INIT;
}

void text_deinit(struct text *text)
{
	if (text->capacity)
		free(text->bytes);
	text_init(text);
}

void text_clear(struct text *text)
{
	text->length = 0;
	if (text->capacity)
		text->bytes[0] = '\0';
}

static bool text_reserve(struct text *text, size_t more)
{
	if (text->failed || more > SIZE_MAX / 2 - text->length - 1)
		return false;
	size_t need = text->length + more + 1;
	if (need <= text->capacity)
		return true;
	size_t capacity = text->capacity ? text->capacity : 32;
	while (capacity < need)
		capacity *= 2;
	char *bytes = realloc(text->capacity ? text->bytes : NULL, capacity);
	if (!bytes) {
		text->failed = true;
		return false;
	}
	if (!text->capacity)
		bytes[0] = '\0';
	text->bytes = bytes;
	text->capacity = capacity;
	return true;
}

void text_append_bytes(struct text *text, const void *bytes, size_t count)
{
	if (!count || !text_reserve(text, count))
		return;
	memcpy(text->bytes + text->length, bytes, count);
	text->length += count;
	text->bytes[text->length] = '\0';
}

void text_append(struct text *text, const char *string)
{
	text_append_bytes(text, string, strlen(string));
}

void text_append_char(struct text *text, char c)
{
	text_append_bytes(text, &c, 1);
}

void text_printf(struct text *text, const char *format, ...)
{
	va_list arguments, again;

	va_start(arguments, format);
	va_copy(again, arguments);
	int length = vsnprintf(NULL, 0, format, arguments);
	if (length < 0) {
		text->failed = true;
	} else if (text_reserve(text, (size_t)length)) {
		vsnprintf(text->bytes + text->length, (size_t)length + 1, format, again);
		text->length += (size_t)length;
	}
	va_end(again);
	va_end(arguments);
}

// The length of the well-formed UTF-8 sequence at `bytes`, or 0 (Unicode's table 3-7: no overlong
// forms, no surrogates, nothing past U+10FFFF).
static size_t utf8_length(const unsigned char *bytes, size_t count)
{
	unsigned char first = bytes[0], low = 0x80, high = 0xbf;
	size_t length;

	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		length = 2;
	else if (first >= 0xe0 && first <= 0xef)
		length = 3;
	else if (first >= 0xf0 && first <= 0xf4)
		length = 4;
	else
		return 0;
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	if (length > count || bytes[1] < low || bytes[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

// C1 control characters (U+0080..U+009F) drive terminals too; in UTF-8 they begin with c2.
static bool is_control(const unsigned char *bytes, size_t length)
{
	return length == 1 ? bytes[0] < 0x20 || bytes[0] == 0x7f
			   : length == 2 && bytes[0] == 0xc2 && bytes[1] < 0xa0;
}

void text_append_untrusted(struct text *text, const void *untrusted, size_t count)
{
	const unsigned char *bytes = untrusted;

	for (size_t i = 0; i < count && !text->failed;) {
		size_t length = utf8_length(bytes + i, count - i);
		if (length && !is_control(bytes + i, length)) {
			text_append_bytes(text, bytes + i, length);
			i += length;
		} else if (bytes[i] == '\n') {
			text_append(text, "\\n");
			i++;
		} else if (bytes[i] == '\t') {
			text_append(text, "\\t");
			i++;
		} else {
			text_printf(text, "\\x%02x", bytes[i]);
			i++;
		}
	}
}

char *text_take(struct text *text)
{
	char *bytes = NULL;

	if (!text->failed && text_reserve(text, 0)) {
		bytes = text->bytes;
		text_init(text);
	} else {
		text_deinit(text);
	}
	return bytes;
}

void sentences_add(char **sentences, const char *format, va_list arguments)
{
	const char *before = *sentences ? *sentences : "";
	char *sentence, *joined;

	if (vasprintf(&sentence, format, arguments) < 0)
		return;
	int length = asprintf(&joined, "%s%s%s", before, *before ? " " : "", sentence);
	free(sentence);
	if (length < 0)
		return;
	free(*sentences);
	*sentences = joined;
}
