// A growing text. `bytes` is always NUL-terminated, also when empty, so it can be handed to C
// functions as it is. Running out of memory is remembered in `failed` and later appends do nothing:
// check once, at the end.
//
//	struct text text = TEXT_INIT;
//	text_printf(&text, "%s: %d", name, count);
//	...
//	text_deinit(&text);
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct text {
	char *bytes;
	size_t length;
	size_t capacity; // 0: `bytes` is the shared empty string
	bool failed;
};

extern char text_empty[1];
#define TEXT_INIT                       \
	{                               \
		text_empty, 0, 0, false \
	}

void text_init(struct text *text);
void text_deinit(struct text *text);
void text_clear(struct text *text);
void text_append(struct text *text, const char *string);
void text_append_bytes(struct text *text, const void *bytes, size_t count);
void text_append_char(struct text *text, char c);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Appends bytes that came from a target: control characters and malformed UTF-8 become escapes (\n,
// \x1b) so that they can neither drive a terminal nor break JSON.
void text_append_untrusted(struct text *text, const void *bytes, size_t count);

// The string, to be freed by the caller; the text is empty afterwards. NULL if it had failed.
char *text_take(struct text *text);

// Adds a sentence to those in `*sentences` (from malloc; NULL: none yet). Without memory for it they
// stay as they are.
void sentences_add(char **sentences, const char *format, va_list arguments);

#define _cleanup_text_ __attribute__((cleanup(text_deinit)))

#endif
